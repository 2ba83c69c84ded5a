//! What every reader of foreign text keeps to, whatever it is given. Each target takes any bytes, reads them the way the
//! program does, and panics when a promise is broken: what is read and written unchanged is the same byte for byte, a
//! patched file differs in our lines only, an error names a place, nothing printed obeys a terminal.
//!
//! The ordinary tests run these on a corpus and on mutations of it; `tests/fuzz` runs them under libFuzzer for as long as
//! wanted. So this module uses the library alone.

mod firewalld;
mod host;
mod iptables;
mod neighbours;
mod nftables;
mod own;
mod sshd;
mod terminal;
mod ufw;

/// A reader, or a family of them.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Reads and checks.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("nft_json", nftables::json),
    target("nft_text", nftables::text),
    target("iptables_save", iptables::save),
    target("iptables_file", iptables::file),
    target("iptables_kept", iptables::kept),
    target("ufw_rules", ufw::rules),
    target("ufw_tuple", ufw::tuple),
    target("ufw_live", ufw::live),
    target("ufw_settings", ufw::settings),
    target("firewalld_xml", firewalld::files),
    target("firewalld_patch", firewalld::patch),
    target("firewalld_rich", firewalld::rich),
    target("firewalld_list", firewalld::list),
    target("sshd_config", sshd::config),
    target("sshd_include", sshd::include),
    target("sshd_effective", sshd::effective),
    target("sshd_command_line", neighbours::command_line),
    target("sshd_socket", neighbours::socket),
    target("sshd_neighbours", neighbours::neighbours),
    target("proc_net", host::sockets),
    target("processes", host::processes),
    target("ip_json", host::links),
    target("units", host::units),
    target("aspera_conf", host::aspera),
    target("aspera_edit", host::aspera_edit),
    target("journal", own::journal),
    target("answers", own::answers),
    target("catalogue", own::catalogue),
    target("recording", own::recording),
    target("redact", own::redact),
    target("keys", terminal::keys),
];

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// Bytes as the program takes them from a file or a pipe.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An input for a reader of several texts: they are divided by the file separator of ASCII.
fn parts<const N: usize>(bytes: &[u8]) -> [String; N] {
    let mut rest = bytes.split(|byte| *byte == 0x1c);
    std::array::from_fn(|_| text(rest.next().unwrap_or_default()))
}

/// A message that a person gets: it says something, on one line, without characters that a terminal obeys.
fn readable(message: &str) {
    assert!(!message.trim().is_empty(), "an error without words");
    assert!(
        !message.chars().any(|c| c.is_control()),
        "control characters in {message:?}"
    );
}
