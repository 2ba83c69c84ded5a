//! What must be as before or as committed: the rules, the files, the listeners and the units of a host.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::host::{Firewall, Host};

/// Files that must be the same again, with their links and directories.
const FILES: [&str; 11] = [
    "/etc/ssh",
    "/etc/nftables.conf",
    "/etc/nftables.d",
    "/etc/iptables",
    "/etc/ufw",
    "/etc/default",
    "/etc/firewalld",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/etc/sysctl.d",
    "/etc/cron.d",
];

/// The tables of nft that the tools of iptables do not know of, and the names of all.
const NATIVE: &str = "nft list tables | sort; nft -s list ruleset inet; nft -s list ruleset netdev";

impl Firewall {
    /// What the owner's own tools say of the rules, in the kernel and on the disk.
    fn rules(self) -> String {
        const SAVES: &str = "for s in iptables-nft-save ip6tables-nft-save; do $s; done 2>/dev/null \
             | sed '/^#/d; s/\\[[0-9:]*\\]//'; \
             for f in ip ip6; do if grep -q . /proc/net/${f}_tables_names 2>/dev/null; then \
             echo $f; ${f}tables-legacy-save | sed '/^#/d; s/\\[[0-9:]*\\]//'; fi; done";
        match self {
            Self::Nftables | Self::Close22 | Self::Socket => String::from("nft -s list ruleset"),
            Self::IptablesNft | Self::IptablesLegacy => format!("{SAVES}; {NATIVE}"),
            Self::Ufw => format!(
                "for s in iptables-save ip6tables-save; do $s; done 2>/dev/null \
                 | sed '/^#/d; s/\\[[0-9:]*\\]//'; ufw status numbered; {NATIVE}"
            ),
            // What the daemon says of its zones at this moment; what it keeps is in its files.
            Self::Firewalld => String::from(
                "nft -s list ruleset; for zone in dmz public; do \
                 busctl call org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \
                 org.fedoraproject.FirewallD1.zone getZoneSettings2 s $zone 2>&1 | tr ' ' '\\n' | sort; done",
            ),
        }
    }
}

impl Host {
    /// Rules, files, listeners and units. Names of transactions differ between two moves, and so does what only counts or
    /// passes: a guard's timer, too, which finds nothing to do and goes.
    pub fn picture(&self) -> String {
        let rest = "systemctl list-units --all --plain --no-legend 'faspwall*' \
             | awk '$3 != \"inactive\" && $1 !~ /guard.*timer/ {print $1, $3}'; \
             ls -I lock -I open /run/faspwall 2>/dev/null; ss -Hltn | awk '{print $4}' | sort; \
             cat /proc/sys/net/ipv4/ip_local_reserved_ports";
        let script = format!("{}; {rest}", self.firewall.rules());
        let mut text = self.machine.run(&["sh", "-c", &script]).stdout;
        for path in FILES {
            self.file(path, &mut text);
        }
        // ufw keeps comments as hexadecimal digits.
        let names = regex_lite::Regex::new(r"\d{8}-\d{6}|comment=66617370[0-9a-f]+").expect("an expression");
        names.replace_all(&text, "ID").into_owned()
    }

    /// A file as it is, where a link leads, or all of a directory.
    fn file(&self, path: &str, text: &mut String) {
        let inside = self.machine.inside(path);
        let Ok(about) = fs::symlink_metadata(&inside) else {
            return;
        };
        let mode = about.permissions().mode() & 0o7777;
        let owner = (about.uid(), about.gid());
        if about.is_symlink() {
            let to = fs::read_link(&inside).unwrap_or_default();
            let _ = write!(text, "\n== {path} -> {}\n", to.display());
        } else if about.is_dir() {
            let entries = fs::read_dir(&inside).into_iter().flatten().flatten();
            let mut names: Vec<String> = entries
                .map(|e| e.file_name().to_string_lossy().into_owned())
                .collect();
            names.sort();
            let mut inner = String::new();
            for name in names {
                self.file(&format!("{path}/{name}"), &mut inner);
            }
            // A directory that was made for a file may stay when the file is gone.
            if !inner.is_empty() {
                let _ = write!(text, "\n== {path}/ {mode:o} {owner:?}\n{inner}");
            }
        } else if path.starts_with("/etc/firewalld/") && path.ends_with(".old") {
            // What firewalld had written before it wrote again, which is its own affair.
            let _ = write!(text, "\n== {path} {mode:o}\n");
        } else {
            let content = fs::read(&inside).unwrap_or_default();
            let _ = write!(text, "\n== {path} {mode:o} {owner:?} {}\n", about.len());
            if content.len() < 100_000 {
                text.push_str(&String::from_utf8_lossy(&content));
            } else {
                let mut hasher = DefaultHasher::new();
                content.hash(&mut hasher);
                let _ = write!(text, "(sum {:x})", hasher.finish());
            }
        }
    }
}
