//! Test repositories: real keys, real signatures, and every means to get it wrong.

use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PSS_SHA256,
};
use base64::Engine as _;
use jiff::Timestamp;
use serde_json::{Value, json};
use wheelmark_tuf::{
    DelegatedRole, DelegatedRoles, Delegations, Extra, Key, MetaFile, PathSet, Role, RoleKeys,
    RoleName, Root, RootRoles, SPEC_VERSION, Sha256, Signature, Snapshot, SuccinctRoles,
    TargetInfo, Targets, TimestampMetadata, assemble,
};

/// When every test takes place.
pub(crate) const NOW: &str = "2030-01-01T00:00:00Z";
/// When everything expires, unless a test says otherwise.
pub(crate) const LATER: &str = "2030-02-01T00:00:00Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

/// A key pair that signs.
pub(crate) struct Signer {
    key: Key,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(aws_lc_rs::rsa::KeyPair),
}

impl Signer {
    /// A new Ed25519 key for each `name`.
    pub(crate) fn new(name: &str) -> Self {
        let seed = Sha256::of(name.as_bytes()).0;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let key = Key::ed25519(pair.public_key().as_ref().try_into().unwrap());
        Signer {
            key,
            pair: Pair::Ed25519(pair),
        }
    }

    pub(crate) fn ecdsa(keytype: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = pem_key(keytype, "ecdsa-sha2-nistp256", der.as_ref());
        Signer {
            key,
            pair: Pair::Ecdsa(pair),
        }
    }

    pub(crate) fn rsa() -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let key = pem_key("rsa", "rsassa-pss-sha256", der.as_ref());
        Signer {
            key,
            pair: Pair::Rsa(pair),
        }
    }

    /// The same key pair under another key object: same value, other id.
    pub(crate) fn with_field(mut self, name: &str, value: Value) -> Self {
        let mut object = self.key.to_value();
        object[name] = value;
        self.key = Key::from_value(object).unwrap();
        self
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let random = SystemRandom::new();
        let sig = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut sig = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &random, message, &mut sig)
                    .unwrap();
                sig
            }
        };
        Signature {
            keyid: self.key.keyid().clone(),
            sig,
        }
    }
}

pub(crate) fn pem_key(keytype: &str, scheme: &str, der: &[u8]) -> Key {
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = body
        .as_bytes()
        .chunks(64)
        .map(|l| str::from_utf8(l).unwrap())
        .collect();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        lines.join("\n")
    );
    Key::from_value(json!({"keytype": keytype, "scheme": scheme, "keyval": {"public": pem}}))
        .unwrap()
}

/// A repository: what it says next, and what it has published.
pub(crate) struct Repo {
    pub(crate) root: Root,
    pub(crate) timestamp: TimestampMetadata,
    pub(crate) snapshot: Snapshot,
    pub(crate) targets: Targets,
    pub(crate) delegated: BTreeMap<String, Targets>,
    /// Who signs for each role.
    pub(crate) signers: BTreeMap<String, Vec<Signer>>,
    /// What can be fetched, by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

pub(crate) fn empty_targets() -> Targets {
    Targets {
        spec_version: SPEC_VERSION.to_owned(),
        version: 0,
        expires: time(LATER),
        targets: BTreeMap::new(),
        delegations: None,
        extra: Extra::new(),
    }
}

impl Repo {
    /// Version 1 of everything, one key for each role.
    pub(crate) fn new() -> Self {
        let signers: BTreeMap<_, _> = ["root", "timestamp", "snapshot", "targets"]
            .into_iter()
            .map(|name| (name.to_owned(), vec![Signer::new(name)]))
            .collect();
        let one_of = |name: &str| RoleKeys::new([signers[name][0].key()], 1);
        let spec_version = SPEC_VERSION.to_owned();
        let expires = time(LATER);
        let mut repo = Repo {
            root: Root {
                spec_version: spec_version.clone(),
                version: 0,
                expires,
                consistent_snapshot: true,
                keys: signers
                    .values()
                    .map(|s| (s[0].key().keyid().clone(), s[0].key().clone()))
                    .collect(),
                roles: RootRoles {
                    root: one_of("root"),
                    timestamp: one_of("timestamp"),
                    snapshot: one_of("snapshot"),
                    targets: one_of("targets"),
                    extra: Extra::new(),
                },
                extra: Extra::new(),
            },
            timestamp: TimestampMetadata {
                spec_version: spec_version.clone(),
                version: 0,
                expires,
                snapshot: MetaFile::version(1),
                other_meta: Extra::new(),
                extra: Extra::new(),
            },
            snapshot: Snapshot {
                spec_version,
                version: 0,
                expires,
                meta: BTreeMap::new(),
                extra: Extra::new(),
            },
            targets: empty_targets(),
            delegated: BTreeMap::new(),
            signers,
            files: BTreeMap::new(),
        };
        repo.publish("root targets snapshot timestamp");
        repo
    }

    /// Gives each of the roles its next version and publishes it; roles are separated by
    /// spaces. Snapshot then lists a targets role, and timestamp the snapshot, as they are.
    pub(crate) fn publish(&mut self, roles: &str) {
        for name in roles.split(' ') {
            match name {
                "root" => self.root.version += 1,
                "timestamp" => self.timestamp.version += 1,
                "snapshot" => self.snapshot.version += 1,
                "targets" => self.targets.version += 1,
                _ => self.delegated.get_mut(name).unwrap().version += 1,
            }
            self.write(name);
            match name {
                "root" | "timestamp" => {}
                "snapshot" => self.timestamp.snapshot = MetaFile::version(self.snapshot.version),
                _ => {
                    let version = MetaFile::version(self.version(name));
                    self.snapshot.meta.insert(format!("{name}.json"), version);
                }
            }
        }
    }

    /// Signs a role as it stands and puts it where clients look for it.
    pub(crate) fn write(&mut self, name: &str) {
        let bytes = self.signed(name);
        self.files.insert(self.file(name), bytes);
    }

    /// The path of the latest version of a role.
    pub(crate) fn file(&self, name: &str) -> String {
        let versioned = name == "root" || self.root.consistent_snapshot && name != "timestamp";
        if versioned {
            role(name).versioned_file_name(self.version(name))
        } else {
            role(name).file_name()
        }
    }

    /// The file of a role as it stands, signed by all its signers.
    pub(crate) fn signed(&self, name: &str) -> Vec<u8> {
        let canonical = self.canonical(name);
        let signatures: Vec<_> = self
            .signers
            .get(name)
            .into_iter()
            .flatten()
            .map(|s| s.sign(&canonical))
            .collect();
        assemble(&canonical, &signatures)
    }

    pub(crate) fn canonical(&self, name: &str) -> Vec<u8> {
        match name {
            "root" => self.root.to_canonical(),
            "timestamp" => self.timestamp.to_canonical(),
            "snapshot" => self.snapshot.to_canonical(),
            "targets" => self.targets.to_canonical(),
            _ => self.delegated[name].to_canonical(),
        }
    }

    fn version(&self, name: &str) -> u64 {
        match name {
            "root" => self.root.version,
            "timestamp" => self.timestamp.version,
            "snapshot" => self.snapshot.version,
            "targets" => self.targets.version,
            _ => self.delegated[name].version,
        }
    }

    /// Replaces the signed part of a role by anything, correctly signed, where its latest
    /// version was.
    pub(crate) fn forge(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut signed: Value = serde_json::from_slice(&self.canonical(name)).unwrap();
        edit(&mut signed);
        let canonical = wheelmark_tuf::canonical::encode(&signed);
        let signatures: Vec<_> = self.signers[name]
            .iter()
            .map(|s| s.sign(&canonical))
            .collect();
        self.files
            .insert(self.file(name), assemble(&canonical, &signatures));
    }

    /// Edits the latest file of a role without signing it again.
    pub(crate) fn tamper(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.file(name);
        let mut file: Value = serde_json::from_slice(&self.files[&path]).unwrap();
        edit(&mut file);
        self.files.insert(path, serde_json::to_vec(&file).unwrap());
    }

    /// Lets new keys speak for a top-level role in the next root.
    pub(crate) fn rotate(&mut self, name: &str, signers: Vec<Signer>, threshold: u32) {
        let keys = RoleKeys::new(signers.iter().map(Signer::key), threshold);
        for signer in &signers {
            self.root
                .keys
                .insert(signer.key().keyid().clone(), signer.key().clone());
        }
        match name {
            "root" => self.root.roles.root = keys,
            "timestamp" => self.root.roles.timestamp = keys,
            "snapshot" => self.root.roles.snapshot = keys,
            _ => self.root.roles.targets = keys,
        }
        self.signers.insert(name.to_owned(), signers);
    }

    pub(crate) fn role_mut(&mut self, name: &str) -> &mut Targets {
        match name {
            "targets" => &mut self.targets,
            _ => self.delegated.get_mut(name).unwrap(),
        }
    }

    fn delegations(&mut self, delegator: &str, otherwise: DelegatedRoles) -> &mut Delegations {
        self.role_mut(delegator)
            .delegations
            .get_or_insert_with(|| Delegations {
                keys: BTreeMap::new(),
                roles: otherwise,
                extra: Extra::new(),
            })
    }

    /// Lets `delegator` delegate `paths` to a role that it may share with others, under the
    /// key that is named after the role. A `!` behind the name makes it terminating.
    pub(crate) fn delegate(&mut self, delegator: &str, name: &str, paths: PathSet) {
        let (name, terminating) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let signer = Signer::new(name);
        let keys = RoleKeys::new([signer.key()], 1);
        let delegated = DelegatedRole {
            name: role(name),
            keys,
            terminating,
            paths,
        };
        let delegations = self.delegations(delegator, DelegatedRoles::Listed(Vec::new()));
        delegations
            .keys
            .insert(signer.key().keyid().clone(), signer.key().clone());
        match &mut delegations.roles {
            DelegatedRoles::Listed(roles) => roles.push(delegated),
            DelegatedRoles::Succinct(_) => panic!("{delegator} delegates to bins"),
        }
        self.delegated
            .entry(name.to_owned())
            .or_insert_with(empty_targets);
        self.signers
            .entry(name.to_owned())
            .or_insert_with(|| vec![signer]);
    }

    /// Lets `delegator` delegate to bins, all of which exist.
    pub(crate) fn delegate_to_bins(&mut self, delegator: &str, bit_length: u32, prefix: &str) {
        let signer = Signer::new(prefix);
        let keys = RoleKeys::new([signer.key()], 1);
        let bins = SuccinctRoles::new(keys, bit_length, prefix).unwrap();
        let names: Vec<_> = bins.bins().collect();
        let delegations = self.delegations(delegator, DelegatedRoles::Succinct(bins));
        delegations
            .keys
            .insert(signer.key().keyid().clone(), signer.key().clone());
        for name in names {
            self.delegated.insert(name.to_string(), empty_targets());
            self.signers
                .insert(name.to_string(), vec![Signer::new(prefix)]);
        }
    }

    /// Lets a role list a file.
    pub(crate) fn add(&mut self, name: &str, path: &str, content: &[u8]) {
        let info = TargetInfo::new(content.len() as u64, Sha256::of(content));
        self.role_mut(name)
            .targets
            .insert(path.parse().unwrap(), info);
    }

    /// Publishes all targets roles, and what lists them.
    pub(crate) fn publish_all(&mut self) {
        let names: Vec<_> = self.delegated.keys().cloned().collect();
        for name in names {
            self.publish(&name);
        }
        self.publish("targets snapshot timestamp");
    }
}
