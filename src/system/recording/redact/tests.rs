use super::*;
use proptest::prelude::*;

fn clean(text: &str) -> String {
    Redaction::default().text(text)
}

#[test]
fn secrets_of_every_form_are_taken_out() {
    let cases = [
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXk=\n-----END OPENSSH PRIVATE KEY-----\nafter",
            "b3Blb",
            "after",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\ncut off", "cut off", "BEGIN RSA"),
        (
            "root ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJx me@host",
            "AAAAC3Nza",
            "me@host",
        ),
        ("root:$6$salt$Zm9vYmFyYmF6:19000:0", "Zm9vYmFy", "19000"),
        ("root:$y$j9T$abc$defghijkl:1", "defghijkl", ":1"),
        ("asp:$2b$12$abcdefghijklmnopqrstuv", "ghijkl", "asp"),
        (
            "  <token_encryption_key>kd83k2</token_encryption_key>",
            "kd83k2",
            "</token_encryption_key>",
        ),
        (
            "<ssl_key_passphrase type=\"x\">one two</ssl_key_passphrase>",
            "one two",
            "type=\"x\"",
        ),
        ("db_password = hunter2 # old", "hunter2", "# old"),
        ("DB_PASSWORD='it is long'", "it is long", "DB_PASSWORD"),
        (r#"{"api_key": "abc def", "port": 1}"#, "abc def", r#""port": 1"#),
        (r#"{"line":"secret: \"abc def\", x"}"#, "abc def", "x"),
        ("ascp --token=ATV7_secretpart file", "ATV7", "file"),
        ("node\0--password\0hunter2\0-x", "hunter2", "-x"),
        ("https://joe:hunter2@example.org/x", "hunter2", "example.org/x"),
        ("Authorization: Bearer abcdefgh.ijk", "abcdefgh", "Authorization"),
        ("x eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2ln y", "c2ln", "y"),
        ("rocommunity s3cr3t 192.0.2.0/24", "s3cr3t", "192.0.2.0/24"),
        ("com2sec local default s3cr3t", "s3cr3t", "local default"),
        ("snmp_community: s3cr3t", "s3cr3t", "snmp_community"),
        ("community:\npassword = hunter2", "hunter2", "password"),
        (
            "<node_password>hunter2</node_password>",
            "hunter2",
            "node_password",
        ),
        ("key AKIAIOSFODNN7EXAMPLE.", "AKIAIOSF", "key"),
    ];
    for (text, secret, kept) in cases {
        let clean = clean(text);
        assert!(!clean.contains(secret), "{secret:?} is still in {clean:?}");
        assert!(
            clean.contains(MARK) && clean.contains(kept),
            "{kept:?} in {clean:?}"
        );
    }
}

#[test]
fn what_decides_stays() {
    for text in [
        "PasswordAuthentication yes\nPermitEmptyPasswords no\nHostKey /etc/ssh/ssh_host_rsa_key\n",
        "passwordauthentication yes\npermittty yes\nauthorizedkeysfile .ssh/authorized_keys\n",
        "ENABLED=yes\nLOGLEVEL=low\n",
        "table inet filter { chain input { type filter hook input priority 0; tcp dport 22 accept } }",
        "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\n",
        "### tuple ### allow tcp 33001 0.0.0.0/0 any 0.0.0.0/0 in comment=666f6f\n",
        "fe80::1 2001:db8:aa:bb:cc:dd:ee:ff/64 10:20:30",
        "<http_port>8080</http_port><bind_udp_port>33001</bind_udp_port>",
        "ff:ff:ff:ff:ff:ff 00:00:00:00:00:00",
        "1 (systemd) S 0 1 1 0 -1 4194560 1 2 3",
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn a_hardware_address_becomes_the_same_one_everywhere() {
    let mut work = Redaction::default();
    let first = work.text(r#"[{"address":"52:54:00:12:34:56"},{"address":"52:54:00:12:34:57"}]"#);
    let second = work.text("ether saddr 52:54:00:12:34:56 accept");
    assert_eq!(
        first,
        r#"[{"address":"02:00:00:00:00:01"},{"address":"02:00:00:00:00:02"}]"#
    );
    assert_eq!(second, "ether saddr 02:00:00:00:00:01 accept");
}

#[test]
fn of_other_processes_only_the_variables_that_are_read_stay() {
    let mut recording = Recording::default();
    let text = "PATH=/bin\0SSH_CONNECTION=192.0.2.1 5 192.0.2.2 22\0AWS_SECRET=x\0USER=joe\0".to_owned();
    recording
        .files
        .insert("/proc/812/environ".into(), Content::Text(text));
    let told = redact(&mut recording);
    let expected = "SSH_CONNECTION=192.0.2.1 5 192.0.2.2 22\0USER=joe\0".to_owned();
    assert_eq!(
        recording.files[Path::new("/proc/812/environ")],
        Content::Text(expected)
    );
    assert_eq!(told, ["2 variables of other processes"]);
}

#[test]
fn of_what_a_process_has_open_sockets_and_terminals_stay() {
    let mut recording = Recording::default();
    let dir = Path::new("/proc/812/fd");
    let targets = ["/home/joe/diary", "socket:[4711]", "/dev/pts/3", "pipe:[12]"];
    for (number, target) in targets.iter().enumerate() {
        let name = number.to_string();
        recording.links.insert(dir.join(&name), Some(target.into()));
        recording.dirs.entry(dir.to_owned()).or_default().push(name);
    }
    let told = redact(&mut recording);
    assert_eq!(recording.dirs[dir], ["1", "2"]);
    assert_eq!(recording.links.len(), 2);
    assert_eq!(told, ["2 names of open files"]);
}

#[test]
fn addresses_in_the_memory_of_a_process_are_cut_off() {
    let line = "36 (ss) hd) S 1 36 36 0 -1 4194560 604 0 0 0 0 0 0 0 20 0 1 0 1358675 15826944 2378 18446 94104714842112 2\n";
    let mut recording = Recording::default();
    recording
        .files
        .insert("/proc/36/stat".into(), Content::Text(line.to_owned()));
    redact(&mut recording);
    let expected = "36 (ss) hd) S 1 36 36 0 -1 4194560 604 0 0 0 0 0 0 0 20 0 1 0 1358675\n";
    assert_eq!(
        recording.files[Path::new("/proc/36/stat")],
        Content::Text(expected.to_owned())
    );
}

#[test]
fn a_password_typed_as_a_user_name_is_taken_out_and_the_rest_of_the_line_stays() {
    let log = "Failed password for invalid user my secret phrase from 192.0.2.9 port 4711 ssh2\n\
               Invalid user tr0ub4dor from 192.0.2.9 port 4712\n\
               Connection closed by invalid user hunter2 192.0.2.9 port 4713 [preauth]\n\
               Accepted publickey for root from 192.0.2.8 port 4714 ssh2: ED25519 SHA256:x\n";
    let mut work = Redaction::default();
    assert_eq!(
        work.logins(log),
        "Failed password for invalid user REDACTED from 192.0.2.9 port 4711 ssh2\n\
         Invalid user REDACTED from 192.0.2.9 port 4712\n\
         Connection closed by invalid user REDACTED 192.0.2.9 port 4713 [preauth]\n\
         Accepted publickey for REDACTED from 192.0.2.8 port 4714 ssh2: ED25519 SHA256:x\n"
    );
    assert_eq!(work.told(), ["4 user names in the log of logins"]);
}

#[test]
fn what_was_clean_is_not_counted_again() {
    let mut recording = Recording::default();
    recording.files.insert(
        "/etc/x".into(),
        Content::Text(String::from("password = a\n<secret>b</secret>\n")),
    );
    assert_eq!(redact(&mut recording), ["2 values with secret names"]);
    let once = recording.clone();
    assert!(redact(&mut recording).is_empty());
    assert_eq!(recording, once);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}", more in "(?s)[a-f0-9:<>/= \"$-]{0,120}") {
        let _ = clean(&format!("password{more}{text}"));
        let _ = Redaction::default().logins(&text);
    }
}
