//! A disk that is nearly full: no new orders, everything else goes on. Needs a small file system
//! of its own, so it runs where a `tmpfs` can be mounted (root) and says so where it cannot.

use crate::site::{Site, until};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const DISK_MIB: usize = 32;
/// What the shop keeps free, and what a filler leaves free: below the one, enough for the other.
const RESERVE_MIB: usize = 8;
const LEFT_MIB: u64 = 4;
const MIB: u64 = 1 << 20;

pub struct Mounted(PathBuf);

impl Mounted {
    pub fn new(at: PathBuf) -> Result<Mounted, String> {
        std::fs::create_dir(&at).unwrap();
        let size = format!("size={DISK_MIB}m");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &size, "seawall-test"])
            .arg(&at);
        let done = mount.output().map_err(|error| error.to_string())?;
        match done.status.success() {
            true => Ok(Mounted(at)),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, since a shop that is being killed may still hold files.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn free(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_bavail * stat.f_frsize
}

#[test]
fn a_full_disk_refuses_orders_and_nothing_else() {
    let outside = tempfile::tempdir().unwrap();
    let disk = match Mounted::new(outside.path().join("disk")) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: no tmpfs can be mounted here: {}", why.trim()),
    };
    let site = Site::at(disk.0.join("data"));
    site.configure(&format!(
        "journal: {{segment_mib: 1, reserve_mib: {RESERVE_MIB}}}\n"
    ));
    site.import(&[crate::site::product("A", 1_000_000)]);
    let shop = site.up();
    let mut buyer = shop.buyer(1);
    let held: Vec<String> = (0..3)
        .map(|n| buyer.order(&format!("held-{n}"), "A", 1).order())
        .collect();
    let before = shop.units("A");

    let filler = disk.0.join("filler");
    let mut file = File::create(&filler).unwrap();
    while free(&disk.0) > LEFT_MIB * MIB {
        file.write_all(&vec![1; 64 * 1024]).unwrap();
    }
    let mut taken = 0;
    let mut refused = Value::Null;
    until("new orders are refused", || {
        let answer = buyer.order(&format!("new-{taken}"), "A", 1);
        if answer.status == 201 {
            taken += 1;
            return false;
        }
        assert!(answer.header("retry-after").is_some());
        refused = answer.refused(503, "storage_low");
        true
    });
    assert_eq!(refused["happened"], "no");
    println!("{taken} orders were taken after the disk had filled up");
    assert_eq!(shop.units("A")[1], before[1] + taken);

    // Reads, a repeat, a payment and a cancel of what is held go on.
    assert_eq!(buyer.get("/v1/products").status, 200);
    assert_eq!(buyer.look(&held[0])["status"], "held");
    assert_eq!(
        buyer.order("held-0", "A", 1).order(),
        held[0],
        "a repeat needs no room"
    );
    let paid = buyer.pay(&held[0], "p", 1_000);
    assert_eq!(
        (paid.status, &paid.json()["status"]),
        (200, &json!("paid")),
        "{}",
        paid.text()
    );
    let cancelled = buyer.post(&format!("/v1/orders/{}/cancel", held[1]), "c", &json!({}));
    assert_eq!(cancelled.status, 200, "{}", cancelled.text());
    buyer.order("still", "A", 1).refused(503, "storage_low");

    // Room comes back, and so do orders, without a restart.
    drop(file);
    std::fs::remove_file(&filler).unwrap();
    until("orders go on", || {
        buyer.order("again", "A", 1).status == 201
    });
    shop.stop();
    site.seawall(&["journal", "verify"]).said(0, &[]);
}
