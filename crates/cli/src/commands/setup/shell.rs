//! What login shells are told: which certificates uv and pip may believe.

use std::path::Path;

use super::marks;

/// The text with our lines above everything else: some files end early in a shell that nobody
/// types into.
pub(super) fn edit(text: &str, bundle: Option<&Path>, uv_cache: Option<&str>) -> String {
    let mut lines = vec![
        "# pip and uv install verified packages here: see `wheelmark setup --help`.".to_owned(),
    ];
    if let Some(bundle) = bundle {
        lines.push(format!("export SSL_CERT_FILE={}", quoted(bundle)));
    }
    if let Some(cache) = uv_cache {
        lines.push(format!("export UV_CACHE_DIR=\"{cache}\""));
    }
    marks::block(&lines) + text
}

/// Whether a shell's file names certificates itself. It comes after our lines, and counts.
pub(super) fn sets_certificates(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .any(|line| !line.starts_with('#') && line.contains("SSL_CERT_FILE="))
}

/// For environment.d, which reads `NAME=value` lines.
pub(super) fn environment_d(bundle: &Path) -> String {
    let line = format!("SSL_CERT_FILE=\"{}\"", bundle.display());
    marks::block(&[line])
}

/// One word of a shell's command line.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
