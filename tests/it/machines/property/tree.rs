//! The tree of a Debian, with its programs, in namespaces of its own: files that are written there are gone with it.

use std::fs;
use std::path::Path;
use std::process::Command;

use faspwall::system::System;
use faspwall::system::real::RealSystem;

use super::Subject;
use super::host::rules_in_force;
use crate::boxes::{Suite, tree};

/// Makes the tree the root and becomes this program again.
const ENTER: &str = "\
set -e
mount -t tmpfs tmpfs /mnt && cd /mnt && mkdir upper work root
mount -t overlay overlay -o lowerdir=$1,upperdir=upper,workdir=work root
touch root/usr/bin/inside && mount --bind $2 root/usr/bin/inside
cd root && mkdir -p old
mount --rbind /dev dev && mount -t proc proc proc && mount -t sysfs sysfs sys && mount -t tmpfs run run
pivot_root . old && umount -l /old && cd /
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
for link in eth0 eth1; do ip link add $link type veth peer name far-$link; ip link set $link up; ip link set far-$link up; done
ip link set lo up
ip address add 10.9.8.7/24 dev eth0
ip address add fd09::7/64 dev eth0 nodad
ip route add default via 10.9.8.1 dev eth0
shift 2
# Not in place of this shell, as its last command would be: process 1 has to bury the daemons that end.
/usr/bin/inside \"$@\"
exit $?
";

/// What starts this program in such a tree; its words follow.
pub fn of(suite: Suite) -> Command {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: sudo bash tests/run"
    );
    let mut command = Command::new("unshare");
    command
        .args([
            "--net",
            "--mount",
            "--ipc",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["bash", "-c", ENTER, "bash"])
        .arg(tree(suite))
        .arg(std::env::current_exe().expect("this program"));
    command
}

/// Runs a shell text, which must succeed; what it printed.
pub fn sh(text: &str) -> String {
    let output = Command::new("bash")
        .args(["-ec", text])
        .output()
        .expect("bash starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{said}{complaint}");
    said
}

/// The host that the tree is.
pub struct Tree {
    /// Folders and files whose contents undo must bring back.
    pub files: &'static [&'static str],
    /// Prints what the owner of the rules says of them.
    pub says: &'static str,
}

impl Subject for Tree {
    fn system(&self) -> &dyn System {
        &RealSystem
    }

    fn state(&self) -> String {
        let mut text = rules_in_force() + &sh(self.says);
        for path in self.files {
            read_all(Path::new(path), &mut text);
        }
        text
    }
}

/// Every file below a folder with its content, and where links lead to.
fn read_all(path: &Path, text: &mut String) {
    if let Ok(target) = fs::read_link(path) {
        text.push_str(&format!("{} -> {}\n", path.display(), target.display()));
    } else if path.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(path)
            .expect("a folder")
            .flatten()
            .map(|e| e.path())
            .collect();
        entries.sort();
        entries.iter().for_each(|entry| read_all(entry, text));
    } else if let Ok(bytes) = fs::read(path) {
        text.push_str(&format!(
            "{}:\n{}\n",
            path.display(),
            String::from_utf8_lossy(&bytes)
        ));
    }
}
