//! Which CPUs take in packets: RPS masks of the network devices' queues, and the CPUs of their interrupts.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use super::cpus;
use crate::typed::typed;
use model::printable::is_plain;

/// What steers packets to CPUs. File names are as this program finds them, which is not as the host does
/// in a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Steering {
    /// Receive queues whose packets are spread over CPUs.
    pub queues: Vec<Queue>,
    /// Interrupts of network devices.
    pub interrupts: Vec<Interrupt>,
    /// CPUs that are online, in order.
    pub online: Vec<u32>,
}

/// A receive queue with an RPS mask that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// `/sys/class/net/DEVICE/queues/rx-N/rps_cpus`.
    pub file: PathBuf,
    /// The CPUs that take its packets.
    pub mask: Mask,
}

/// An interrupt of a network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupt {
    /// `/proc/irq/N/smp_affinity_list`.
    pub file: PathBuf,
    /// The CPUs that it may go to, in order.
    pub allowed: Vec<u32>,
    /// The CPUs that it goes to.
    pub effective: Vec<u32>,
}

/// A set of CPUs as the kernel writes it in hexadecimal (`%*pb` of `lib/vsprintf.c`): words of 32 bits, the
/// highest first, commas between them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mask {
    text: String,
    words: Vec<u32>,
}

impl Mask {
    /// Reads a mask; `None` where the text is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let words = text
            .split(',')
            .map(|word| u32::from_str_radix(word, 16).ok());
        Some(Self {
            text: text.to_owned(),
            words: words.collect::<Option<_>>()?,
        })
    }

    /// As the kernel wrote it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds a CPU.
    #[must_use]
    pub fn has(&self, cpu: u32) -> bool {
        self.place(cpu)
            .is_some_and(|place| self.words[place] >> (cpu % 32) & 1 == 1)
    }

    /// Whether it holds no CPU: RPS is off, and packets stay where the interrupt was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// The same without a CPU.
    #[must_use]
    pub fn without(&self, cpu: u32) -> Self {
        let mut words = self.words.clone();
        if let Some(place) = self.place(cpu) {
            words[place] &= !(1 << (cpu % 32));
        }
        // Each word as wide as it was.
        let written = self.text.split(',').zip(&words);
        let written =
            written.map(|(before, word)| format!("{word:0width$x}", width = before.len()));
        Self {
            text: written.collect::<Vec<_>>().join(","),
            words,
        }
    }

    /// Which word a CPU is in.
    fn place(&self, cpu: u32) -> Option<usize> {
        let from_the_end = usize::try_from(cpu / 32).ok()? + 1;
        self.words.len().checked_sub(from_the_end)
    }
}

impl Steering {
    /// Looks at every network device under `root`. What cannot be read is left out.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let devices = entries(&root.join("sys/class/net")).unwrap_or_default();
        let online = fs::read_to_string(root.join("sys/devices/system/cpu/online"));
        let mut found = Self {
            online: online
                .ok()
                .and_then(|list| cpus::parse_list(&list))
                .unwrap_or_default(),
            ..Self::default()
        };
        // Two devices may share an interrupt.
        let mut interrupts = BTreeSet::new();
        for device in devices {
            found.queues.extend(queues(root, &device));
            let folder = root.join("sys/class/net").join(&device);
            for number in entries(&folder.join("device/msi_irqs")).unwrap_or_default() {
                if let Ok(number) = number.parse::<u32>() {
                    interrupts.insert(number);
                }
            }
        }
        let interrupts = interrupts.into_iter();
        found.interrupts = interrupts
            .filter_map(|number| interrupt(root, number))
            .collect();
        found
    }
}

fn queues(root: &Path, device: &str) -> Vec<Queue> {
    let folder = Path::new("sys/class/net").join(device).join("queues");
    let names = entries(&root.join(&folder)).unwrap_or_default();
    let queues = names
        .iter()
        .filter(|name| name.starts_with("rx-"))
        .filter_map(|name| {
            let file = folder.join(name).join("rps_cpus");
            let mask = Mask::parse(&fs::read_to_string(root.join(&file)).ok()?)?;
            let file = typed(root, file.to_str()?)?.into();
            (!mask.is_empty()).then_some(Queue { file, mask })
        });
    queues.collect()
}

fn interrupt(root: &Path, number: u32) -> Option<Interrupt> {
    let folder = PathBuf::from(format!("proc/irq/{number}"));
    let list = |name: &str| {
        let text = fs::read_to_string(root.join(&folder).join(name)).ok()?;
        cpus::parse_list(&text)
    };
    Some(Interrupt {
        allowed: list("smp_affinity_list")?,
        effective: list("effective_affinity_list").or_else(|| list("smp_affinity_list"))?,
        file: typed(root, folder.join("smp_affinity_list").to_str()?)?.into(),
    })
}

/// Names in a folder, sorted: those that can be written into a command.
fn entries(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| is_plain(name))
        .collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_whose_name_would_run_a_command_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for device in ["eth0", "a;reboot", "b\x1b[2J"] {
            fs::create_dir(root.path().join(device)).unwrap();
        }
        assert_eq!(entries(root.path()).unwrap(), ["eth0"]);
    }

    #[test]
    fn a_cpu_is_taken_out_of_a_mask_of_any_width() {
        for (text, cpu, held, without) in [
            ("f\n", 3, true, "7"),
            ("ff", 0, true, "fe"),
            ("00000000,0000000f", 3, true, "00000000,00000007"),
            ("3,ffffffff", 33, true, "1,ffffffff"),
            ("3,ffffffff", 31, true, "3,7fffffff"),
            ("1", 64, false, "1"),
            ("2", 0, false, "2"),
        ] {
            let mask = Mask::parse(text).unwrap();
            assert_eq!(mask.has(cpu), held, "{text}");
            assert_eq!(mask.without(cpu).text(), without, "{text}");
            assert!(!mask.without(cpu).has(cpu), "{text}");
        }
        assert!(Mask::parse("0,00000000").unwrap().is_empty());
        for text in ["", "x", "f,,f", "-1", "1ffffffff"] {
            assert_eq!(Mask::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn queues_with_rps_and_interrupts_are_found_and_the_rest_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("sys/devices/system/cpu/online", "0-3\n"),
            ("sys/class/net/eth0/queues/rx-0/rps_cpus", "f\n"),
            ("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n"),
            ("sys/class/net/eth0/queues/tx-0/xps_cpus", "f\n"),
            ("sys/class/net/eth0/device/msi_irqs/24", "msix\n"),
            ("sys/class/net/lo/queues/rx-0/rps_cpus", "0\n"),
            ("sys/class/net/bonding_masters", "\n"),
            ("proc/irq/24/smp_affinity_list", "0-3\n"),
            ("proc/irq/24/effective_affinity_list", "3\n"),
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let expected = Steering {
            queues: vec![Queue {
                file: root.path().join("sys/class/net/eth0/queues/rx-0/rps_cpus"),
                mask: Mask::parse("f").unwrap(),
            }],
            interrupts: vec![Interrupt {
                file: root.path().join("proc/irq/24/smp_affinity_list"),
                allowed: vec![0, 1, 2, 3],
                effective: vec![3],
            }],
            online: vec![0, 1, 2, 3],
        };
        assert_eq!(Steering::read(root.path()), expected);
    }
}
