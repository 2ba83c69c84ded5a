//! Which scripts stand in the way, and which do not.

use super::*;

fn line(text: &str) -> Option<usize> {
    made_by(Form::Script, text).map(|made| made.line)
}

#[test]
fn a_script_that_empties_shuts_or_fills_input_is_found_with_its_line() {
    for (text, number) in [
        ("#!/bin/sh\niptables -F\niptables -P INPUT DROP\n", 2),
        ("#!/bin/sh\n/sbin/iptables -w -F INPUT\n", 2),
        ("iptables -F >/dev/null 2>&1\n", 1),
        ("iptables --policy INPUT DROP\n", 1),
        (
            "IPT=/sbin/iptables\n\n$IPT -A INPUT -p tcp --dport 22 -j ACCEPT\n$IPT -A INPUT -j REJECT\n",
            4,
        ),
        ("ip6tables -t filter -I INPUT 1 -j mine\n", 1),
        (
            "if true; then \"/usr/sbin/iptables\" -A INPUT \\\n -j DROP; fi\n",
            1,
        ),
        ("sh -c 'iptables -F'\n", 1),
        ("for t in iptables ip6tables\ndo $t -F\ndone\n", 2),
        ("ipt() { iptables $*\n}\nipt -P INPUT DROP\n", 3),
        ("for c in INPUT FORWARD; do iptables -P $c DROP; done\n", 1),
        ("nft flush ruleset\nnft add table inet f\n", 1),
        (
            "nft add chain inet f in '{ type filter hook input priority 0; policy drop; }'\n",
            1,
        ),
        ("nft add rule inet filter input tcp dport 25 drop\n", 1),
        ("nft -f - <<EOF\nflush table inet filter\nEOF\n", 2),
        (
            "iptables-restore <<EOF\n*filter\n:INPUT DROP [0:0]\nCOMMIT\nEOF\n",
            3,
        ),
        ("iptables-restore </etc/rules\niptables -A INPUT -j DROP\n", 2),
        (
            "iptables-restore -n /etc/more\nip6tables-restore /etc/six\niptables -F\nip6tables-restore /etc/six\n",
            3,
        ),
        ("/usr/sbin/ferm /etc/ferm/ferm.conf\n", 1),
        ("firehol start\n", 1),
        ("exec /etc/init.d/arno-iptables-firewall start\n", 1),
        ("apf -s\n", 1),
    ] {
        assert_eq!(line(text), Some(number), "{text}");
    }
}

#[test]
fn what_takes_nothing_away_from_the_way_in_is_none_of_our_business() {
    for text in [
        "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\niptables -A FORWARD -i wg0 -j ACCEPT\n",
        "iptables -t nat -F\niptables --table mangle -F\niptables -t raw -A PREROUTING -j DROP\n",
        "iptables -F FORWARD; iptables -P FORWARD DROP; iptables -N mine; iptables -A mine -j DROP\n",
        "iptables -P INPUT ACCEPT\niptables -I INPUT -p udp --dport 53 -j ACCEPT\n",
        "iptables -F\niptables -P INPUT DROP\niptables-restore < /etc/iptables.rules\n",
        "nft flush ruleset && nft -f /etc/firewall.nft\n",
        "nft add rule ip nat postrouting masquerade; nft flush table ip nat\n",
        "nft insert rule inet filter input udp dport 53 accept\n",
        "# iptables -F\necho done # iptables -F\nexit 0\n",
        "ls /etc/ferm; firehol status; rm -F x\niptables -D INPUT -j old; iptables -L INPUT\n",
        "iptables -L | grep -A INPUT x; echo iptables -F; ls $iptables -F\n",
    ] {
        assert_eq!(line(text), None, "{text}");
    }
    let unit = "[Service]\nExecStart=/bin/true\nExecStop=/sbin/iptables -F\n";
    assert_eq!(made_by(Form::Unit, unit), None);
}

#[test]
fn scripts_that_others_call_are_found() {
    let of = |form, text: &str| called(&commands(form, text));
    assert_eq!(
        of(
            Form::Script,
            "if [ -x /root/fw ]; then /root/fw start; fi\nbash -e /usr/local/sbin/firewall\n. /etc/fw\n"
        ),
        [
            PathBuf::from("/root/fw"),
            "/usr/local/sbin/firewall".into(),
            "/etc/fw".into()
        ]
    );
    assert_eq!(
        of(Form::Cron, "@reboot root /opt/fw.sh\n"),
        [PathBuf::from("/opt/fw.sh")]
    );
    // A long program is not read.
    assert!(of(Form::Unit, "ExecStart=/opt/aspera/bin/asperanoded -x\n").is_empty());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(?s)[ -~\n]{0,160}") {
        for form in [Form::Script, Form::Interfaces, Form::Unit, Form::Cron] {
            let _ = made_by(form, &text);
            let _ = called(&commands(form, &text));
        }
    }
}
