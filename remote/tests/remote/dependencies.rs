//! Who takes `handover` alone gets nothing of this crate's.

use std::path::Path;
use std::process::Command;

#[test]
fn the_library_depends_on_no_network() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", "handover", "--all-features", "--edges", "normal,build"])
        .args(["--prefix", "none", "--locked", "--manifest-path"])
        .arg(manifest)
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    assert!(text.contains("parking_lot"), "{text}");
    for other in ["zenoh", "postcard", "rustls", "handover-remote"] {
        assert!(!text.contains(other), "{text}");
    }
}
