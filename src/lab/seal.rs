//! What the lab's processes can write to lies in memory.

use std::path::Path;

use crate::sealed::{self, mount};
use crate::system::{System, SystemError};

/// Directories that are empty and private in the lab, with their mode: all that this program, sshd and a shell write
/// to. The last two are where sshd locks its unprivileged half up on other distributions than Debian.
const PRIVATE: [(&str, &str); 9] = [
    ("/run", "755"),
    ("/tmp", "1777"),
    ("/var/tmp", "1777"),
    ("/root", "700"),
    ("/opt", "755"),
    ("/var/lib", "755"),
    ("/var/log", "755"),
    ("/var/empty", "755"),
    ("/usr/share/empty.sshd", "755"),
];
/// Makes everything read-only that is there, then lays empty directories in memory over what must be writable.
pub fn private_files(system: &dyn System) -> Result<(), SystemError> {
    sealed::read_only(system, |_| true)?;
    for (dir, mode) in PRIVATE {
        // A link, such as /var/run, leads to another one of them.
        if system.resolve(Path::new(dir)).as_deref() == Some(Path::new(dir)) {
            sealed::empty(system, dir, mode)?;
        }
    }
    // A new instance, because the host's terminals belong to groups that a user namespace does not have.
    let terminals = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    system.run_ok(&mount(["-t", "devpts", "-o", terminals, "devpts", "/dev/pts"]))?;
    system.run_ok(&mount(["--bind", "/dev/pts/ptmx", "/dev/ptmx"]))?;
    // Shows the lab's own network devices. Without it the host's names are seen, which does no harm.
    system.run(&mount([
        "-t",
        "sysfs",
        "-o",
        "ro,nosuid,nodev,noexec",
        "sysfs",
        "/sys",
    ]))?;
    Ok(())
}
