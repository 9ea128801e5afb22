//! Services and destinations of a network namespace, counted in its `/proc/net/ip_vs`, or asked of IPVS itself.
//!
//! **That file may leave services out** where other namespaces have services too: the table is one for all
//! namespaces. While the kernel fills a page it steps through the others' as well (`ip_vs_info_seq_next`), but where
//! it goes on with the next page, it counts the namespace's own alone (`ip_vs_info_array`,
//! `net/netfilter/ipvs/ip_vs_ctl.c`), and so jumps over as many. Seen on Linux 6.1. A service and all its destinations are
//! written together or left to the next page, so that a short list tells nothing. Whoever begins to read in the middle
//! gets what is there: the kernel steps through all of it up to there (`traverse`, `fs/seq_file.c`).

mod genl;

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use self::genl::Ipvs;
use super::{
    netns::{self, doors::Doors},
    netns_owners,
};

/// How much a network namespace balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// Virtual services.
    pub services: u32,
    /// Destinations of all services together; `None` where counting them would take too long.
    pub destinations: Option<u32>,
}

/// What `/proc/net/ip_vs` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Listed {
    services: u32,
    destinations: u32,
    bytes: u64,
}

/// How long is asked for the destinations of a namespace: one question a service.
const ASKING: Duration = Duration::from_secs(1);

/// Counts those of a namespace, whose list of estimators has this `length` if it is known: one for each, and one for the
/// total.
///
/// # Errors
///
/// When the kernel has no IPVS, or what can be read without entering the namespace, which needs `CAP_SYS_ADMIN`, and
/// without asking IPVS, which needs `CAP_NET_ADMIN`, may not be all.
pub fn count(root: &Path, doors: &Doors, netns: u32, length: Option<u32>) -> io::Result<Counted> {
    let counted = doors.inside(netns, || {
        let file = netns::own_files(root).join("ip_vs");
        // Where the file is not there, IPVS is not: to ask would load it.
        let (listed, is_whole) = read(&file)?;
        listed.all(length, is_whole).map_or_else(|| ask(length), Ok)
    });
    counted.or_else(|error| {
        let pid = doors.process(netns).ok_or(error)?;
        let (listed, is_whole) = netns_owners::while_in(root, pid, netns, || {
            read(&root.join(format!("proc/{pid}/net/ip_vs")))
        })?;
        listed
            .all(length, is_whole)
            .ok_or_else(|| io::Error::other("the kernel's list of services may not be whole"))
    })
}

/// Asks IPVS in the namespace of this thread.
fn ask(length: Option<u32>) -> io::Result<Counted> {
    let mut ipvs = Ipvs::open()?;
    let services = ipvs.services()?;
    let count = u32::try_from(services.len()).unwrap_or(u32::MAX);
    let others = length.and_then(|length| length.checked_sub(1)?.checked_sub(count));
    let destinations = match others {
        Some(destinations) => Some(destinations),
        None => ipvs.destinations(&services, Instant::now() + ASKING)?,
    };
    Ok(Counted {
        services: count,
        destinations,
    })
}

impl Listed {
    /// Returns what is listed, if it is sure to be all there was.
    fn all(self, length: Option<u32>, is_whole: bool) -> Option<Counted> {
        let entries = self.services.saturating_add(self.destinations);
        let is_whole = is_whole || length == Some(entries.saturating_add(1));
        is_whole.then_some(Counted {
            services: self.services,
            destinations: Some(self.destinations),
        })
    }
}

/// Returns what a file lists, and whether that is all there is.
fn read(file: &Path) -> io::Result<(Listed, bool)> {
    let file = File::open(file)?;
    let listed = list(BufReader::new(&file))?;
    // At the end, the kernel would continue as it read so far; a byte further, it starts from the first service.
    let more = file.read_at(&mut [0], listed.bytes.saturating_add(1))?;
    Ok((listed, more == 0))
}

/// Counts the lines as `ip_vs_info_seq_show` writes them (`net/netfilter/ipvs/ip_vs_ctl.c` of Linux 6.1):
/// three lines of titles, then a line a service and under it a line `  -> ` a destination.
fn list(mut lines: impl BufRead) -> io::Result<Listed> {
    let mut listed = Listed::default();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        listed.bytes = listed.bytes.saturating_add(line.len() as u64);
        if [&b"TCP "[..], b"UDP ", b"SCTP", b"FWM "]
            .iter()
            .any(|kind| line.starts_with(kind))
        {
            listed.services += 1;
        } else if line.starts_with(b"  -> ") && listed.services > 0 {
            listed.destinations += 1;
        }
        line.clear();
    }
    Ok(listed)
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
        let listed = list(format!("{TITLES}{services}").as_bytes()).unwrap();
        assert_eq!((listed.services, listed.destinations), (4, 3));
        assert_eq!(listed.bytes, (TITLES.len() + services.len()) as u64);
        let none = list(TITLES.as_bytes()).unwrap();
        assert_eq!((none.services, none.destinations), (0, 0));
        assert_eq!(list(&b""[..]).unwrap(), Listed::default());
    }

    #[test]
    fn a_list_that_is_not_whole_is_all_there_is_only_if_the_estimators_are_as_many() {
        for (is_whole, length, is_all) in [
            (true, None, true),
            (true, Some(8), true),
            (false, Some(8), true),
            (false, Some(9), false),
            (false, None, false),
        ] {
            let listed = Listed {
                services: 4,
                destinations: 3,
                bytes: 0,
            };
            let counted = Counted {
                services: 4,
                destinations: Some(3),
            };
            assert_eq!(
                listed.all(length, is_whole),
                is_all.then_some(counted),
                "{is_whole} {length:?}"
            );
        }
    }

    #[test]
    fn the_file_of_a_process_is_looked_for_under_the_root_given() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/7/net");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("ip_vs"), format!("{TITLES}FWM  00000001 rr\n")).unwrap();
        let link = root.path().join("proc/7/ns/net");
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("net:[5]", link).unwrap();
        let count = |pid, netns| {
            let mut doors = Doors::read(root.path());
            doors.add_process(netns, pid);
            count(root.path(), &doors, netns, None)
        };
        assert_eq!(count(7, 5).unwrap().services, 1);
        assert!(count(7, 6).is_err(), "it lives elsewhere");
        assert!(count(8, 5).is_err());
    }
}
