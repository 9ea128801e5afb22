//! Services and destinations of a network namespace, counted in its `/proc/net/ip_vs`.
//!
//! **That file may leave services out** where other namespaces have services too: the table is one for all
//! namespaces. While the kernel fills a page it steps through the others' as well (`ip_vs_info_seq_next`), but where
//! it goes on with the next page, it counts the namespace's own alone (`ip_vs_info_array`,
//! `net/netfilter/ipvs/ip_vs_ctl.c`), and so jumps over as many. Seen on Linux 6.1.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    thread,
};

use nix::sched::{CloneFlags, setns};

use super::{inhabitants, netns};

/// How much a network namespace balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Virtual services.
    pub services: u32,
    /// Destinations of all services together.
    pub destinations: u32,
    /// The kernel handed them over in more than one piece, between which it may have left some out.
    pub pieces: bool,
}

/// No piece is smaller (`PAGE_SIZE`, to which `seq_read_iter` of `fs/seq_file.c` fills its buffer).
const PIECE_BYTES: usize = 4096;

/// Returns those of a namespace that process `pid` lives in. Needs no capability.
///
/// # Errors
///
/// When the process is gone, there or elsewhere, or the kernel has no IPVS.
pub fn of_process(root: &Path, pid: u32, netns: u32) -> io::Result<Counted> {
    inhabitants::while_in(root, pid, netns, || {
        read(&root.join(format!("proc/{pid}/net/ip_vs")))
    })
}

/// Those of the namespace that a file of `ip netns` stands for. It is entered by a thread of its own, which
/// needs `CAP_SYS_ADMIN`.
///
/// # Errors
///
/// When the name is another namespace's by now, it may not be entered, or the kernel has no IPVS.
pub fn of_name(root: &Path, name: &str, netns: u32) -> io::Result<Counted> {
    let file = root.join("run/netns").join(name);
    let namespace = netns::open(&file, netns).map_err(io::Error::other)?;
    let file = root.join("proc/thread-self/net/ip_vs");
    let reader = thread::Builder::new().spawn(move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET)?;
        read(&file)
    })?;
    reader
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("counting services panicked")))
}

fn read(file: &Path) -> io::Result<Counted> {
    // The kernel hands over a page at a time, whatever is asked for.
    count(BufReader::new(File::open(file)?))
}

/// Counts the lines as `ip_vs_info_seq_show` writes them (`net/netfilter/ipvs/ip_vs_ctl.c` of Linux 6.1):
/// three lines of titles, then a line a service and under it a line `  -> ` a destination.
fn count(mut lines: impl BufRead) -> io::Result<Counted> {
    let mut counted = Counted::default();
    let mut line = Vec::new();
    let mut bytes = 0;
    while lines.read_until(b'\n', &mut line)? > 0 {
        bytes += line.len();
        if [&b"TCP "[..], b"UDP ", b"SCTP", b"FWM "]
            .iter()
            .any(|kind| line.starts_with(kind))
        {
            counted.services += 1;
        } else if line.starts_with(b"  -> ") && counted.services > 0 {
            counted.destinations += 1;
        }
        line.clear();
    }
    counted.pieces = bytes > PIECE_BYTES;
    Ok(counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLES: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
";

    #[test]
    fn every_kind_of_service_counts_and_no_title_does() {
        let services = "\
TCP  0A600001:0050 rr  
  -> 0A000001:0050      Masq    1      0          0         
  -> 0A000002:0050      Masq    1      0          0         
UDP  0A600001:0035 rr  
SCTP 0A600001:0035 rr  
FWM  00000001 rr  
  -> [fd00:0000:0000:0000:0000:0000:0000:0001]:0050      Route   1      0          0         
";
        let counted = count(format!("{TITLES}{services}").as_bytes()).unwrap();
        assert_eq!((counted.services, counted.destinations), (4, 3));
        assert!(!counted.pieces);
        let many = count(format!("{TITLES}{}", services.repeat(20)).as_bytes()).unwrap();
        assert_eq!(
            (many.services, many.destinations, many.pieces),
            (80, 60, true)
        );
        assert_eq!(count(TITLES.as_bytes()).unwrap(), Counted::default());
        assert_eq!(count(&b""[..]).unwrap(), Counted::default());
    }

    #[test]
    fn the_file_is_looked_for_under_the_root_given() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/7/net");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ip_vs"), format!("{TITLES}FWM  00000001 rr\n")).unwrap();
        let link = root.path().join("proc/7/ns/net");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("net:[5]", link).unwrap();
        assert_eq!(of_process(root.path(), 7, 5).unwrap().services, 1);
        assert!(of_process(root.path(), 7, 6).is_err(), "it lives elsewhere");
        assert!(of_process(root.path(), 8, 5).is_err());
        assert!(of_name(root.path(), "nobody", 5).is_err());
    }
}
