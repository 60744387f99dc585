//! Links over TLS: both sides show a certificate, and a wrong one is refused.
#![cfg(feature = "tls")]

use std::fs;
use std::path::Path;

use handover::{Why, simplex};
use handover_remote::zenoh::{self, Config};
use handover_remote::{Options, export, import, open_local};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::{free_port, run};

/// Writes a certificate authority, and a certificate for 127.0.0.1 that it has signed.
fn authority(directory: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let own_key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    let write = |what: &str, pem: String| {
        fs::write(directory.join(format!("{name}-{what}.pem")), pem).unwrap();
    };
    write("authority", certificate.pem());
    write("certificate", own.pem());
    write("key", own_key.serialize_pem());
}

/// Trusts one authority, and shows the certificate of one.
fn config(directory: &Path, trusts: &str, shows: &str, endpoint: (&str, u16)) -> Config {
    let mut config = open_local();
    let path = |name: &str, what: &str| {
        format!("\"{}\"", directory.join(format!("{name}-{what}.pem")).to_str().unwrap())
    };
    let mut set = |key: &str, value: &str| config.insert_json5(key, value).unwrap();
    let tls = "transport/link/tls";
    set(&format!("{tls}/root_ca_certificate"), &path(trusts, "authority"));
    set(&format!("{tls}/enable_mtls"), "true");
    for side in ["listen", "connect"] {
        set(&format!("{tls}/{side}_certificate"), &path(shows, "certificate"));
        set(&format!("{tls}/{side}_private_key"), &path(shows, "key"));
    }
    let (what, port) = endpoint;
    set(&format!("{what}/endpoints"), &format!("[\"tls/127.0.0.1:{port}\"]"));
    set("connect/timeout_ms", "1500");
    set("connect/exit_on_failure", "true");
    config
}

#[test]
fn a_wrong_certificate_is_refused() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        for name in ["ours", "theirs"] {
            authority(directory.path(), name);
        }
        let port = free_port();
        let at = directory.path();
        let there = zenoh::open(config(at, "ours", "ours", ("listen", port))).await.unwrap();
        let (mut server, client) = simplex::<u32>();
        let exporting = export(&there, "secret", client, Options::default()).await.unwrap();
        let exporting = tokio::spawn(exporting);

        // It does not trust the certificate that is shown, or the one that it shows is not trusted.
        for (trusts, shows) in [("theirs", "ours"), ("ours", "theirs"), ("theirs", "theirs")] {
            let opened = zenoh::open(config(at, trusts, shows, ("connect", port))).await;
            assert!(opened.is_err(), "trusts {trusts}, shows {shows}");
        }

        let here = zenoh::open(config(at, "ours", "ours", ("connect", port))).await.unwrap();
        let options = Options::default();
        let (mut client, driver) = import::<u32, ()>(&here, "secret", options).await.unwrap();
        tokio::spawn(driver);
        let producer = async { server.send(1).await.unwrap_err().why() };
        let consumer = async {
            assert_eq!(client.recv().await, Ok(1));
            client.close();
        };
        assert_eq!(futures_lite::future::zip(producer, consumer).await.0, Why::Closed);
        assert_eq!(exporting.await.unwrap().answers, 1, "nobody else has asked");
    });
}
