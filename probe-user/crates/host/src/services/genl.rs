//! IPVS, asked over generic netlink as `ipvsadm` asks it. The kernel answers for the namespace that the socket was opened
//! in, and whoever asks needs `CAP_NET_ADMIN` in the host's user namespace (`GENL_ADMIN_PERM`,
//! `net/netfilter/ipvs/ip_vs_ctl.c` of Linux 6.1).

use std::{
    error::Error,
    io::{self, Cursor},
    time::Instant,
};

use neli::{
    FromBytesWithInput as _,
    consts::{nl::NlmF, socket::NlFamily},
    genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder},
    nl::{NlPayload, NlmsghdrBuilder},
    router::synchronous::NlRouter,
    socket::synchronous::NlSocketHandle,
    types::{Buffer, GenlBuffer},
    utils::Groups,
};

/// Version of the `IPVS` family.
const VERSION: u8 = 1;

/// Commands and attributes, from `linux/ip_vs.h`.
const GET_SERVICE: u8 = 4;
const GET_DEST: u8 = 8;
const ATTR_SERVICE: u16 = 1;

/// Family, protocol, address, port and mark: what tells a service from others.
const KEY: std::ops::RangeInclusive<u16> = 1..=5;

/// The type of the message that ends an answer (`NLMSG_DONE`, `linux/netlink.h`).
const DONE: u16 = 3;

/// A netlink socket to IPVS.
pub struct Ipvs {
    socket: NlSocketHandle,
    family: u16,
    sent: u32,
}

/// A virtual service, as the kernel wrote it.
pub struct Service(Buffer);

impl Ipvs {
    /// Opens a socket in the namespace of this thread. IPVS has to be there: to ask for it loads it.
    ///
    /// # Errors
    ///
    /// When the kernel has no IPVS.
    pub fn open() -> io::Result<Self> {
        let (router, _) =
            NlRouter::connect(NlFamily::Generic, None, Groups::empty()).map_err(other)?;
        let family = router.resolve_genl_family("IPVS").map_err(other)?;
        let socket =
            NlSocketHandle::connect(NlFamily::Generic, None, Groups::empty()).map_err(other)?;
        Ok(Self {
            socket,
            family,
            sent: 0,
        })
    }

    /// Returns all services.
    ///
    /// # Errors
    ///
    /// When the kernel does not answer.
    pub fn services(&mut self) -> io::Result<Vec<Service>> {
        let mut services = Vec::new();
        self.ask(GET_SERVICE, GenlBuffer::new(), |body| {
            services.push(Service(body));
        })?;
        Ok(services)
    }

    /// Counts the destinations of all services; `None` where that is not done by then.
    ///
    /// # Errors
    ///
    /// As [`Self::services`], and when a service is gone meanwhile.
    pub fn destinations(&mut self, services: &[Service], end: Instant) -> io::Result<Option<u32>> {
        let mut count = 0_u32;
        for service in services {
            if Instant::now() >= end {
                return Ok(None);
            }
            let key = [service.key()?].into_iter().collect();
            self.ask(GET_DEST, key, |_| count = count.saturating_add(1))?;
        }
        Ok(Some(count))
    }

    /// Asks for all there is of something.
    fn ask(
        &mut self,
        command: u8,
        attributes: GenlBuffer<u16, Buffer>,
        mut each: impl FnMut(Buffer),
    ) -> io::Result<()> {
        let body: Genlmsghdr<u8, u16> = GenlmsghdrBuilder::default()
            .cmd(command)
            .version(VERSION)
            .attrs(attributes)
            .build()
            .map_err(other)?;
        self.sent = self.sent.wrapping_add(1);
        let message = NlmsghdrBuilder::default()
            .nl_type(self.family)
            .nl_flags(NlmF::REQUEST | NlmF::DUMP)
            .nl_seq(self.sent)
            .nl_payload(NlPayload::Payload(body))
            .build()
            .map_err(other)?;
        self.socket.send(&message).map_err(other)?;
        loop {
            let (answers, _) = self.socket.recv::<u16, Buffer>().map_err(other)?;
            for answer in answers {
                let answer = answer.map_err(other)?;
                if let NlPayload::Err(refusal) = answer.nl_payload() {
                    return Err(io::Error::from_raw_os_error(-refusal.error()));
                }
                if *answer.nl_type() == DONE {
                    return Ok(());
                }
                if let NlPayload::Payload(body) = answer.nl_payload() {
                    each(body.clone());
                }
            }
        }
    }
}

impl Service {
    /// Returns what names the service in a request.
    fn key(&self) -> io::Result<Nlattr<u16, Buffer>> {
        let mut bytes = Cursor::new(self.0.as_ref());
        let body = Genlmsghdr::<u8, u16>::from_bytes_with_input(&mut bytes, self.0.len());
        let body = body.map_err(other)?;
        let attributes = body.attrs().get_attr_handle();
        let told = attributes.get_nested_attributes::<u16>(ATTR_SERVICE);
        let told = told.map_err(other)?;
        let outer = AttrTypeBuilder::default().nla_type(ATTR_SERVICE).build();
        let outer = NlattrBuilder::default()
            .nla_type(outer.map_err(other)?)
            .nla_payload(Buffer::new())
            .build()
            .map_err(other)?;
        let mut named = told
            .iter()
            .filter(|part| KEY.contains(part.nla_type().nla_type()));
        named.try_fold(outer, |outer, part| outer.nest(part).map_err(other))
    }
}

fn other(error: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}
