//! The index as its clients meet it: the real router on a real listener, over a real tree and
//! store, with the real engine behind it.

#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

mod http {
    pub(crate) mod distributions;
    pub(crate) mod form;
    pub(crate) mod index;

    mod attempts;
    mod bulletin;
    mod files;
    mod health;
    mod hostile_forms;
    mod issuer;
    mod large;
    mod limits;
    mod metrics;
    mod mirrors;
    mod pages;
    mod people;
    mod publishing;
    mod refusals;
    mod releases;
    mod rules;
    mod signatures;
    mod static_tree;
    mod trusted;
    mod trusted_keys;
    mod waiting;
}
