//! Configurations of zenoh that reach no further than this machine.

use zenoh::Config;

/// A configuration of zenoh that neither listens nor connects, and scouts for nobody: for ends within one process, and to build on.
///
/// (Zenoh's own default listens on every interface, and tells the local network by multicast that it is there.)
///
/// ```
/// use handover_remote::{open_local, zenoh};
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let mut config = open_local();
/// config.insert_json5("transport/link/tx/lease", "1000").unwrap(); // a stopped peer is noticed after a second
/// let session = zenoh::open(config).await.unwrap();
/// # session.close().await.unwrap();
/// # });
/// ```
pub fn open_local() -> Config {
    config(&[("listen/endpoints", "[]"), ("connect/endpoints", "[]")])
}

/// [`open_local`], and listens on this port of 127.0.0.1.
///
/// ```
/// let config = handover_remote::open_local_listening(7450);
/// assert!(config.get_json("listen/endpoints").unwrap().contains("tcp/127.0.0.1:7450"));
/// ```
pub fn open_local_listening(port: u16) -> Config {
    config(&[
        ("listen/endpoints", &format!("[\"tcp/127.0.0.1:{port}\"]")),
        ("connect/endpoints", "[]"),
    ])
}

/// [`open_local`], and connects to this port of 127.0.0.1: at once if somebody listens there, else as soon as somebody does, and again
/// whenever the link is cut.
///
/// ```
/// let config = handover_remote::open_local_connecting(7450);
/// assert!(config.get_json("connect/endpoints").unwrap().contains("tcp/127.0.0.1:7450"));
/// ```
pub fn open_local_connecting(port: u16) -> Config {
    config(&[
        ("listen/endpoints", "[]"),
        ("connect/endpoints", &format!("[\"tcp/127.0.0.1:{port}\"]")),
    ])
}

fn config(endpoints: &[(&str, &str)]) -> Config {
    let mut config = Config::default();
    let fixed = [
        ("mode", "\"peer\""),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        ("connect/timeout_ms", "-1"),
        ("connect/exit_on_failure", "false"),
        (
            "connect/retry",
            "{ period_init_ms: 50, period_max_ms: 200, period_increase_factor: 1.5 }",
        ),
        ("transport/link/tx/lease", "2000"),
    ];
    for (key, value) in fixed.iter().chain(endpoints) {
        config
            .insert_json5(key, value)
            .expect("a key of zenoh's configuration, and a value for it");
    }
    config
}
