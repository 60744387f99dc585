//! Two processes over TLS: each shows a certificate, and trusts only those of one authority.
//!
//! ```text
//! cargo run --release --manifest-path remote/Cargo.toml --example tls
//! ```
//!
//! It makes two authorities with a certificate each, exports three lines, and starts itself twice: with the right certificate the
//! lines come; with the other one the session does not open.

use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::{env, fs, thread};

use handover::simplex;
use handover_remote::zenoh::{self, Config};
use handover_remote::{Options, export, import, open_local};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

const KEY: &str = "example/tls";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => export_lines().await,
        ["import", directory, name, port] => {
            import_lines(Path::new(directory), name, port.parse()?).await
        }
        _ => Err("usage: tls".into()),
    }
}

async fn export_lines() -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    for name in ["ours", "theirs"] {
        make_certificate(directory.path(), name)?;
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let session = zenoh::open(tls(directory.path(), "ours", "listen", port)?).await?;
    let (mut server, client) = simplex();
    thread::spawn(move || {
        let lines = ["these lines", "are for certified", "eyes only"].map(String::from);
        if server.send_all(lines).wait().is_ok() {
            server.finish();
        }
    });
    let exporting = tokio::spawn(export(&session, KEY, client, Options::default()).await?);
    for name in ["theirs", "ours"] {
        println!("with the certificate `{name}`:");
        let mut importer = Command::new(env::current_exe()?);
        importer.arg("import").arg(directory.path()).args([name, &port.to_string()]);
        let status = tokio::task::spawn_blocking(move || importer.status()).await??;
        if status.success() != (name == "ours") {
            return Err(format!("with the certificate `{name}`: {status}").into());
        }
    }
    println!("the end: {:?}", exporting.await?.why);
    session.close().await?;
    Ok(())
}

async fn import_lines(
    directory: &Path,
    name: &str,
    port: u16,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let session = match zenoh::open(tls(directory, name, "connect", port)?).await {
        Ok(session) => session,
        Err(_) => {
            println!("  refused");
            return Err("the session did not open".into());
        }
    };
    let (mut client, driver) = import::<String, ()>(&session, KEY, Options::default()).await?;
    let importing = tokio::spawn(driver);
    while let Ok(line) = client.recv().await {
        println!("  {line}");
    }
    importing.await??;
    session.close().await?;
    Ok(())
}

/// A session's configuration: TLS in both directions, and nothing else.
fn tls(
    directory: &Path,
    name: &str,
    side: &str,
    port: u16,
) -> Result<Config, Box<dyn Error + Send + Sync>> {
    let path = |what: &str| format!("{:?}", directory.join(format!("{name}-{what}.pem")));
    let mut config = open_local();
    let mut set =
        |key: &str, value: &str| config.insert_json5(key, value).map_err(|e| e.to_string());
    set("transport/link/tls/root_ca_certificate", &path("authority"))?;
    set("transport/link/tls/enable_mtls", "true")?;
    set(&format!("transport/link/tls/{side}_certificate"), &path("certificate"))?;
    set(&format!("transport/link/tls/{side}_private_key"), &path("key"))?;
    set(&format!("{side}/endpoints"), &format!("[\"tls/127.0.0.1:{port}\"]"))?;
    // Give up if no link comes about, rather than try for ever.
    set("connect/timeout_ms", "2000")?;
    set("connect/exit_on_failure", "true")?;
    Ok(config)
}

/// Writes an authority, and a certificate for 127.0.0.1 that it has signed. In earnest these come from elsewhere.
fn make_certificate(directory: &Path, name: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key)?;
    let own_key = KeyPair::generate()?;
    let own = CertificateParams::new(["127.0.0.1".to_owned()])?
        .signed_by(&own_key, &Issuer::new(params, key))?;
    for (what, pem) in [
        ("authority", authority.pem()),
        ("certificate", own.pem()),
        ("key", own_key.serialize_pem()),
    ] {
        fs::write(directory.join(format!("{name}-{what}.pem")), pem)?;
    }
    Ok(())
}
