//! The installed tree that machines are laid over: one per suite, made by debootstrap once and kept.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{host, host_ok, host_run};

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// Debian 12: OpenSSH 9.2, nft 1.0.6.
    Bookworm,
    /// Debian 13: OpenSSH 10.0, nft 1.1.3.
    Trixie,
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// Installed by debootstrap.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,nftables,iptables,ufw,openssh-server,iproute2,procps,python3,\
                        libcap2-bin,libpam-systemd,locales,sudo,tmux,netcat-openbsd,strace,systemd-container";
/// Installed afterwards with apt-get: their own set-up wants a whole system around them.
const LATER: [&str; 6] = [
    "polkitd",
    "firewalld",
    "screen",
    "mosh",
    "fail2ban",
    "dropbear-bin",
];
/// Only fetched. The first two may not be installed beside ufw: a test that needs them removes it first. The last one brings
/// the service of dropbear, whose program is installed.
const FETCHED: &str = "iptables-persistent netfilter-persistent dropbear";
/// Where they lie in the tree.
pub const PACKAGES_DIR: &str = "/opt/packages";
/// Part of the directory's name: goes up with every change of the recipe, so that no old tree is used.
const RECIPE: u32 = 4;

/// Where trees, the login key and the disks of running machines are kept.
pub fn cache() -> PathBuf {
    let dir = std::env::var_os("FASPWALL_BOX_CACHE").map_or_else(
        || {
            directories::BaseDirs::new()
                .expect("a home directory, or FASPWALL_BOX_CACHE")
                .cache_dir()
                .join("faspwall-machines")
        },
        PathBuf::from,
    );
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
    dir
}

/// The private key that logs in as root on every machine.
pub fn key() -> PathBuf {
    let key = cache().join("key");
    let _lock = locked("key.lock");
    if !key.exists() {
        let path = key.to_str().expect("a cache path in UTF-8");
        host_ok("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path]);
    }
    key
}

/// The tree of a suite, installed if it is not there yet (a minute or two).
pub fn tree(suite: Suite) -> PathBuf {
    let name = suite.name();
    let tree = cache().join(format!("{name}-{RECIPE}"));
    let _lock = locked(&format!("{name}.lock"));
    if tree.exists() {
        return tree;
    }
    let fresh = cache().join(format!("{name}-{RECIPE}.new"));
    let _ = fs::remove_dir_all(&fresh);
    let path = fresh.to_str().expect("a cache path in UTF-8");
    let include = format!("--include={PACKAGES}");
    host_ok(
        "debootstrap",
        &["--variant=minbase", &include, name, path, &mirror()],
    );
    finish(&fresh);
    fs::rename(&fresh, &tree).expect("the finished tree can be renamed");
    tree
}

fn finish(tree: &Path) {
    let proc = tree.join("proc");
    let proc = proc.to_str().expect("UTF-8");
    host_ok("mount", &["--bind", "/proc", proc]);
    let install = |args: &[&str]| {
        let output = host("chroot")
            .arg(tree)
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .expect("chroot starts");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let mut get = vec!["apt-get", "install", "-y", "-qq", "--no-install-recommends"];
    get.extend(LATER);
    let fetch = format!("mkdir -p {PACKAGES_DIR} && cd {PACKAGES_DIR} && apt-get download -qq {FETCHED}");
    let results = [
        install(&["apt-get", "update", "-qq"]),
        install(&get),
        install(&["sh", "-c", &fetch]),
        install(&["systemctl", "disable", "firewalld", "ufw", "fail2ban"]),
        install(&["apt-get", "clean"]),
    ];
    let umount = host_run("umount", &[proc]);
    for (ok, complaint) in results {
        assert!(ok, "installing {LATER:?}: {complaint}");
    }
    assert!(umount.ok(), "umount {proc}: {}", umount.stderr);
    // Every machine makes an identity of its own on its first boot.
    fs::write(tree.join("etc/machine-id"), "").expect("machine-id");
    let ssh = tree.join("root/.ssh");
    fs::create_dir_all(&ssh).expect("/root/.ssh");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700)).expect("mode of /root/.ssh");
    fs::copy(key().with_extension("pub"), ssh.join("authorized_keys")).expect("authorized_keys");
}

/// Debian's mirror that this host uses itself, else the common one.
fn mirror() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(dir) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(dir.flatten().map(|entry| entry.path()));
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .find(|word| word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian"))
        .unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
}

/// Waits for a lock file of the cache and holds it until the value is dropped.
pub fn locked(name: &str) -> File {
    let file = lock_file(name);
    file.lock().expect("lock files work in the cache directory");
    file
}

/// Takes a lock file of the cache if nobody holds it.
pub fn try_locked(name: &str) -> Option<File> {
    let file = lock_file(name);
    file.try_lock().is_ok().then_some(file)
}

fn lock_file(name: &str) -> File {
    let path = cache().join(name);
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .unwrap_or_else(|e| panic!("cannot open {}: {e}", path.display()))
}
