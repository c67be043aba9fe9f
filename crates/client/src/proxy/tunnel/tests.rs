#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

#[test]
fn hosts_as_people_write_them() {
    let leads = |written: &str, to: &str| {
        let tunnel: Tunnel = written.parse().unwrap();
        tunnel.leads_to(&to.parse().unwrap())
    };
    assert!(leads("github.com", "github.com:443"));
    assert!(leads("GitHub.com", "github.COM:443"));
    assert!(leads("[::1]:8443", "[::1]:8443"));
    assert!(leads("10.0.0.1:80", "10.0.0.1:80"));
    for other in [
        "github.com:22",
        "api.github.com:443",
        "xgithub.com:443",
        "me@github.com:443",
    ] {
        assert!(!leads("github.com", other), "{other}");
    }
    assert!(!leads("github.com:8443", "github.com:443"));
    for wrong in [
        "",
        " ",
        "*.example",
        "https://x.example",
        "x.example/y",
        "me@x.example",
        "x:y",
        "x.example:",
    ] {
        assert!(wrong.parse::<Tunnel>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_end_is_passed_on_while_the_other_direction_goes_on() {
    let (mut client, ours) = tokio::io::duplex(4096);
    let (mut server, theirs) = tokio::io::duplex(4096);
    let relaying = tokio::spawn(relay(ours, theirs, IDLE));
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut asked = Vec::new();
    server.read_to_end(&mut asked).await.unwrap();
    assert_eq!(asked, b"request");
    server.write_all(&[7; 1000]).await.unwrap();
    server.shutdown().await.unwrap();
    let mut answered = Vec::new();
    client.read_to_end(&mut answered).await.unwrap();
    assert_eq!(answered, [7; 1000]);
    relaying.await.unwrap();
}

#[tokio::test]
async fn silence_ends_a_tunnel() {
    let (mut client, ours) = tokio::io::duplex(64);
    let (_server, theirs) = tokio::io::duplex(64);
    let idle = Duration::from_millis(20);
    let relaying = tokio::spawn(relay(ours, theirs, idle));
    client.write_all(b"x").await.unwrap();
    relaying.await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}
