//! Packets kept off the CPU that the timer sits on.

use std::collections::BTreeMap;

use super::Mitigation;
use host::{cpus::format_list, steering::Steering};

/// Commands that take `cpu` out of the masks that hold it, and their counterparts.
#[derive(Debug, Default)]
struct Changes {
    commands: Vec<String>,
    undo: Vec<String>,
}

/// What keeps packets off `cpu`; `None` where none are led there, or where there is no other CPU.
pub fn without(steering: &Steering, cpu: u32) -> Option<Mitigation> {
    let mut changes = Changes::default();
    changes.queues(steering, cpu);
    changes.interrupts(steering, cpu);
    if changes.commands.is_empty() {
        return None;
    }
    // The last to be changed is the first to be put back.
    changes.undo.reverse();
    Some(Mitigation {
        name: "rps_irq_masks",
        does: format!(
            "Packets are led to other CPUs than {cpu}, where the timer is. It stays there until that CPU goes offline \
             or ip_vs is loaded again: then, as after a boot, the masks are to be set anew."
        ),
        trial: None,
        command: changes.commands.join("; "),
        breaks: "The other CPUs take its share of the packets. An interrupt that the kernel itself manages refuses with \
                 `Input/output error`, and irqbalance undoes the change unless told not to."
            .into(),
        undo: changes.undo.join("; "),
    })
}

impl Changes {
    /// Queues of one mask together.
    fn queues(&mut self, steering: &Steering, cpu: u32) {
        let mut by_mask: BTreeMap<_, Vec<String>> = BTreeMap::new();
        for queue in steering.queues.iter().filter(|queue| queue.mask.has(cpu)) {
            // An empty mask would switch RPS off: packets stay on the CPU of the interrupt.
            if !queue.mask.without(cpu).is_empty() {
                let file = queue.file.display().to_string();
                by_mask.entry(&queue.mask).or_default().push(file);
            }
        }
        for (mask, files) in by_mask {
            let write = |mask: &str| format!("echo {mask} | tee {}", files.join(" "));
            self.commands.push(write(mask.without(cpu).text()));
            self.undo.push(write(mask.text()));
        }
    }

    fn interrupts(&mut self, steering: &Steering, cpu: u32) {
        for interrupt in &steering.interrupts {
            let others: Vec<u32> = interrupt
                .allowed
                .iter()
                .copied()
                .filter(|other| *other != cpu)
                .collect();
            let elsewhere = others.iter().any(|other| steering.online.contains(other));
            if interrupt.effective.contains(&cpu) && elsewhere {
                let file = interrupt.file.display();
                let write = |cpus: &[u32]| format!("echo {} > {file}", format_list(cpus));
                self.commands.push(write(&others));
                self.undo.push(write(&interrupt.allowed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::steering::{Interrupt, Mask, Queue};

    fn queue(name: &str, mask: &str) -> Queue {
        Queue {
            file: format!("/sys/class/net/eth0/queues/{name}/rps_cpus").into(),
            mask: Mask::parse(mask).unwrap(),
        }
    }

    fn interrupt(number: u32, allowed: &[u32], effective: &[u32]) -> Interrupt {
        Interrupt {
            file: format!("/proc/irq/{number}/smp_affinity_list").into(),
            allowed: allowed.to_vec(),
            effective: effective.to_vec(),
        }
    }

    #[test]
    fn only_what_leads_packets_to_the_cpu_is_changed_and_can_be_put_back() {
        let steering = Steering {
            queues: vec![
                queue("rx-0", "f"),
                queue("rx-1", "f"),
                queue("rx-2", "7"),
                queue("rx-3", "8"),
            ],
            interrupts: vec![
                interrupt(24, &[0, 1, 2, 3], &[3]),
                interrupt(25, &[0, 1, 2, 3], &[1]),
                interrupt(26, &[3], &[3]),
            ],
            online: vec![0, 1, 2, 3],
        };
        let mitigation = without(&steering, 3).unwrap();
        assert_eq!(
            mitigation.command,
            "echo 7 | tee /sys/class/net/eth0/queues/rx-0/rps_cpus /sys/class/net/eth0/queues/rx-1/rps_cpus; \
             echo 0-2 > /proc/irq/24/smp_affinity_list"
        );
        assert_eq!(
            mitigation.undo,
            "echo 0-3 > /proc/irq/24/smp_affinity_list; \
             echo f | tee /sys/class/net/eth0/queues/rx-0/rps_cpus /sys/class/net/eth0/queues/rx-1/rps_cpus"
        );
    }

    #[test]
    fn where_no_packet_is_led_there_or_no_other_cpu_is_online_nothing_is_open() {
        let alone = Steering {
            queues: vec![queue("rx-0", "1")],
            interrupts: vec![interrupt(24, &[0, 1], &[0])],
            online: vec![0],
        };
        assert_eq!(without(&alone, 0), None);
        assert_eq!(without(&Steering::default(), 0), None);
    }
}
