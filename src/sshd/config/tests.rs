use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const MAIN_12: &str = include_str!("../../../tests/machines/debian-12/sshd_config");
const TEST_12: &str = include_str!("../../../tests/machines/debian-12/sshd-T");
const TEST_13: &str = include_str!("../../../tests/machines/debian-13/sshd-T");
const VERSION_12: &str = include_str!("../../../tests/machines/debian-12/sshd-V");
const VERSION_13: &str = include_str!("../../../tests/machines/debian-13/sshd-V");
const LOG_12: &str = include_str!("../../../tests/machines/debian-12/journal-sshd");
const LOG_13: &str = include_str!("../../../tests/machines/debian-13/journal-sshd");

struct Tree(BTreeMap<PathBuf, String>);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(p, t)| (p.into(), (*t).into())).collect())
    }
}

impl Source for Tree {
    fn read(&self, path: &Path) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn list(&self, dir: &Path) -> Vec<PathBuf> {
        self.0
            .keys()
            .filter(|p| p.parent() == Some(dir))
            .cloned()
            .collect()
    }
}

fn names(files: &[(PathBuf, String)]) -> Vec<&str> {
    files.iter().filter_map(|(p, _)| p.to_str()).collect()
}

#[test]
fn the_file_of_a_real_host_is_read() {
    let lines = parse(MAIN_12);
    assert_eq!(lines[0].keyword, "include");
    assert_eq!(lines[0].arguments, ["/etc/ssh/sshd_config.d/*.conf"]);
    let accept: Vec<_> = lines.iter().filter(|l| l.keyword == "acceptenv").collect();
    assert_eq!(accept[0].arguments, ["LANG", "LC_*"]);
    assert!(lines.iter().all(|l| l.keyword != "port" && !l.in_match));
}

#[test]
fn quotes_equal_signs_comments_and_matches_are_understood() {
    let text = "Port=2222 # old\n\tport \"33001\"\n  # no\nBanner \"/etc/a \\\"b\\\"\"\nMatch User joe\n  X11Forwarding no\n";
    let lines = parse(text);
    let found: Vec<_> = lines
        .iter()
        .map(|l| (l.number, l.keyword.as_str(), l.arguments.join("|"), l.in_match))
        .collect();
    assert_eq!(
        found,
        [
            (1, "port", "2222".into(), false),
            (2, "port", "33001".into(), false),
            (4, "banner", "/etc/a \"b\"".into(), false),
            (5, "match", "User|joe".into(), true),
            (6, "x11forwarding", "no".into(), true),
        ]
    );
}

#[test]
fn included_files_follow_in_the_order_in_which_sshd_reads_them() {
    let tree = Tree::new(&[
        (
            "/etc/ssh/sshd_config",
            "Include sshd_config.d/*.conf /opt/more\nPort 1\n",
        ),
        ("/etc/ssh/sshd_config.d/60-b.conf", "Port 2\n"),
        (
            "/etc/ssh/sshd_config.d/10-a.conf",
            "Include /etc/ssh/sshd_config\nPort 3\n",
        ),
        ("/etc/ssh/sshd_config.d/.hidden.conf", "Port 4\n"),
        ("/etc/ssh/sshd_config.d/README", "Port 5\n"),
        ("/opt/more", "Match all\nPort 6\n"),
    ]);
    let files = files("/etc/ssh/sshd_config".as_ref(), &tree);
    assert_eq!(
        names(&files),
        [
            "/etc/ssh/sshd_config",
            "/etc/ssh/sshd_config.d/10-a.conf",
            "/etc/ssh/sshd_config.d/60-b.conf",
            "/opt/more"
        ]
    );
    assert_eq!(ports_in_files(&files), [1, 3, 2]);
    assert_eq!(ports_in_files(&[]), [22]);
}

#[test]
fn a_missing_main_file_gives_nothing() {
    assert!(files("/etc/ssh/sshd_config".as_ref(), &Tree::new(&[])).is_empty());
}

#[test]
fn globs_match_as_the_c_library_does() {
    for (pattern, name, fits) in [
        ("*.conf", "00-faspwall.conf", true),
        ("*.conf", "x.conf.bak", false),
        ("*.conf", ".x.conf", false),
        ("[0-9][!a]-*", "1b-x", true),
        ("[0-9][!a]-*", "1a-x", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b", "xxaxxbxx", false),
        ("[x", "[x", false),
        ("\\*", "*", true),
    ] {
        assert_eq!(matches_glob(pattern, name), fits, "{pattern} {name}");
    }
}

#[test]
fn the_configuration_in_force_on_real_hosts_is_read() {
    for text in [TEST_12, TEST_13] {
        let effective = Effective::parse(text);
        assert_eq!(effective.ports(), [22]);
        assert_eq!(effective.listen_addresses(), ["[::]:22", "0.0.0.0:22"]);
        assert_eq!(effective.value("pidfile"), Some("/run/sshd.pid"));
        assert_eq!(effective.value("port22"), None);
    }
}

#[test]
fn versions_are_found_in_whatever_names_them() {
    assert_eq!(version(VERSION_12).as_deref(), Some("OpenSSH_9.2"));
    assert_eq!(version(VERSION_13).as_deref(), Some("OpenSSH_10.0p2"));
    assert_eq!(
        version("unknown option -- V\nOpenSSH_8.4p1 Debian-5, OpenSSL 1.1.1w").as_deref(),
        Some("OpenSSH_8.4p1")
    );
    assert_eq!(version("SSH-2.0-dropbear_2022.83"), None);
    assert_eq!(version("OpenSSH_"), None);
}

#[test]
fn failed_connections_in_real_logs_are_counted_once() {
    assert_eq!(failed_logins(LOG_12), 4);
    assert_eq!(failed_logins(LOG_13), 4);
    let got_in = "Failed password for joe from 10.0.0.1 port 5 ssh2\nAccepted password for joe from 10.0.0.1 port 5 ssh2";
    assert_eq!(failed_logins(got_in), 0);
}

#[test]
fn the_listener_shows_its_command() {
    let (program, arguments) =
        listener_command("sshd: /usr/sbin/sshd -D -p 33001 -f /tmp/c [listener] 0 of 10-100 startups");
    assert_eq!(program.as_deref(), Some("/usr/sbin/sshd"));
    assert_eq!(arguments, ["-D", "-p", "33001", "-f", "/tmp/c"]);
    assert_eq!(config_arguments(&arguments), ["-p", "33001", "-f", "/tmp/c"]);
    assert_eq!(config_file(&arguments), Some("/tmp/c".into()));
    let plain = listener_command("/usr/sbin/sshd -De -oPort=5 -E /var/log/x -o UseDNS=no").1;
    assert_eq!(config_arguments(&plain), ["-o", "Port=5", "-o", "UseDNS=no"]);
    assert_eq!(config_file(&plain), None);
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "(?s)[ -~\u{e9}\n\t\u{1}]{0,200}", name in "[a-z*?!\\[\\]^.\\\\-]{0,12}") {
        let _ = parse(&text);
        let _ = Effective::parse(&text).ports();
        let _ = version(&text);
        let _ = failed_logins(&text);
        let (_, arguments) = listener_command(&text);
        let _ = (config_arguments(&arguments), config_file(&arguments));
        let _ = matches_glob(&name, &text);
        let _ = matches_glob(&text, &name);
    }

    #[test]
    fn a_star_matches_every_visible_name(name in "[a-zA-Z0-9_-][ -~]{0,20}") {
        prop_assert!(matches_glob("*", &name));
        prop_assert!(matches_glob("**", &name));
    }

    #[test]
    fn words_that_were_quoted_come_back(list in proptest::collection::vec("[a-z ]{1,8}", 0..5)) {
        let line: String = list.iter().map(|w| format!(" \"{w}\"")).collect();
        prop_assert_eq!(words(&line), list);
    }
}
