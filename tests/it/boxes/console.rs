//! A real console: one of the kernel's own virtual terminals, on which nobody sits, of 80x25 and 16 colours.

use std::process::{Child, Stdio};
use std::time::Duration;

use super::{Machine, Seat, seconds, wait};

/// Numbers of the virtual terminals that machines use; nothing else runs on so high ones.
const FIRST: u32 = 30;
const COLUMNS: usize = 80;

/// A program of a machine at a console; ended on drop.
#[derive(Debug)]
pub struct Console<'m> {
    machine: &'m Machine,
    program: Child,
}

impl<'m> Console<'m> {
    /// Starts a line of shell at the console, as a login there would.
    pub fn start(machine: &'m Machine, line: &str) -> Self {
        Self::make(machine, "/root/tty");
        let line = format!("export TERM=linux; exec </root/tty >/root/tty 2>&1; {line}");
        let program = machine
            .command(&["setsid", "-w", "sh", "-c", &line])
            .stdin(Stdio::null())
            .spawn()
            .expect("nsenter starts");
        Self { machine, program }
    }

    /// Has systemd let root in there, as the getty of a server does for whoever knows the password.
    pub fn login(machine: &'m Machine) -> Self {
        let name = format!("tty{}", Self::make(machine, "/root/tty"));
        let device = format!("/dev/{name}");
        Self::make(machine, &device);
        let path = format!("TTYPath={device}");
        let own = [
            "-q",
            "--wait",
            "-p",
            "StandardInput=tty",
            "-p",
            "StandardOutput=tty",
            "-p",
            &path,
        ];
        let getty = ["agetty", "--autologin", "root", "--noclear", &name, "linux"];
        let program = machine
            .command(&[&["systemd-run"], &own[..], &getty].concat())
            .stdin(Stdio::null())
            .spawn()
            .expect("nsenter starts");
        let console = Self { machine, program };
        console.wait_for("root@", seconds(20));
        console
    }

    /// Makes the file of the console's device, and that of its screen; returns the number in its name.
    fn make(machine: &Machine, device: &str) -> u32 {
        let number = FIRST + u32::from(machine.number());
        // The last one shows what stands on the screen, as Unicode; numbers are in the kernel's list of devices.
        machine.sh(&format!(
            "rm -f {device} /root/screen; mknod {device} c 4 {number} && mknod /root/screen c 7 {} && \
             printf '\\033c' >{device} && stty -F {device} sane",
            64 + number
        ));
        number
    }

    /// Waits until the program has ended; returns its exit status.
    pub fn end(mut self, limit: Duration) -> i32 {
        wait("the end of the program at the console", limit, || {
            self.program
                .try_wait()
                .expect("a child")
                .and_then(|status| status.code())
        })
    }

    /// Puts bytes into the queue of the keyboard.
    fn press(&self, bytes: &[u8]) {
        let put = "import fcntl, os, sys\n\
                   tty = os.open('/root/tty', os.O_RDWR | os.O_NOCTTY)\n\
                   for key in bytes.fromhex(sys.argv[1]): fcntl.ioctl(tty, 0x5412, bytes([key]))";
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.machine.ok(&["python3", "-c", put, &hex]);
    }
}

impl Seat for Console<'_> {
    fn keys(&self, names: &[&str]) {
        for name in names {
            self.press(match *name {
                "Enter" => b"\r",
                "Tab" => b"\t",
                "BTab" => b"\x1b[Z",
                "BSpace" => b"\x7f",
                "Escape" => b"\x1b",
                other => panic!("no key {other}"),
            });
        }
    }

    fn text(&self, text: &str) {
        self.press(text.as_bytes());
    }

    fn screen(&self) -> String {
        let cells = std::fs::read(self.machine.inside("/root/screen")).expect("the kernel shows the screen");
        let letters: Vec<char> = cells
            .chunks_exact(4)
            .filter_map(|cell| char::from_u32(u32::from_ne_bytes(cell.try_into().ok()?)))
            .collect();
        letters
            .chunks(COLUMNS)
            .map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n")
            .collect()
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("last screen of the console:\n{}", self.screen());
        }
        drop(self.program.kill());
        drop(self.program.wait());
    }
}
