//! Virtual services and destinations, made over generic netlink.

use std::io;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use neli::consts::nl::NlmF;
use neli::consts::socket::NlFamily;
use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::router::synchronous::NlRouter;
use neli::socket::synchronous::NlSocketHandle;
use neli::types::{Buffer, GenlBuffer};
use neli::utils::Groups;

/// `AF_INET` and `IPPROTO_TCP`, as wide as the attributes have them.
const FAMILY: u16 = 2;
const TCP: u16 = 6;
/// Version of the `IPVS` family.
const VERSION: u8 = 1;

/// Commands, from `linux/ip_vs.h`.
const NEW_SERVICE: u8 = 1;
const NEW_DEST: u8 = 5;

/// Attributes, from `linux/ip_vs.h`; one number space for each nesting.
mod attribute {
    pub const SERVICE: u16 = 1;
    pub const DEST: u16 = 2;

    pub const SERVICE_FAMILY: u16 = 1;
    pub const SERVICE_PROTOCOL: u16 = 2;
    pub const SERVICE_ADDRESS: u16 = 3;
    pub const SERVICE_PORT: u16 = 4;
    pub const SERVICE_SCHEDULER: u16 = 6;
    pub const SERVICE_FLAGS: u16 = 7;
    pub const SERVICE_TIMEOUT: u16 = 8;
    pub const SERVICE_NETMASK: u16 = 9;

    pub const DEST_ADDRESS: u16 = 1;
    pub const DEST_PORT: u16 = 2;
    pub const DEST_FORWARD: u16 = 3;
    pub const DEST_WEIGHT: u16 = 4;
    pub const DEST_UPPER: u16 = 5;
    pub const DEST_LOWER: u16 = 6;
    pub const DEST_FAMILY: u16 = 11;
}

/// Makes `services` virtual services of TCP, each with an address and port of its own, and `destinations` in each.
pub fn fill(services: u32, destinations: u32) -> Result<()> {
    if services == 0 {
        return Ok(());
    }
    let mut line = Line::open()?;
    // What is the same in every request is put together once: guests are slow.
    let common = common()?;
    let destinations = (0..destinations)
        .map(destination)
        .collect::<Result<Vec<_>>>()?;
    for number in 0..services {
        make(&mut line, &Service(number), &common, &destinations)
            .with_context(|| format!("cannot make service {number} of {services}"))?;
    }
    Ok(())
}

fn make(
    line: &mut Line,
    service: &Service,
    common: &[Attribute],
    destinations: &[Attribute],
) -> Result<()> {
    let name = service.name()?;
    let whole = nest_all(name.clone(), common)?;
    line.request(
        NEW_SERVICE,
        [whole].into_iter().collect(),
        destinations.is_empty(),
    )?;
    for (place, destination) in destinations.iter().enumerate() {
        let attributes = [name.clone(), destination.clone()].into_iter().collect();
        line.request(NEW_DEST, attributes, place + 1 == destinations.len())?;
    }
    line.settle()
}

type Attribute = Nlattr<u16, Buffer>;

/// A virtual service, by its number.
struct Service(u32);

impl Service {
    fn address(&self) -> Ipv4Addr {
        // 65,536 addresses in the range that clusters commonly take for services; then the next port.
        Ipv4Addr::from_bits(Ipv4Addr::new(10, 96, 0, 0).to_bits() | (self.0 & 0xffff))
    }

    fn port(&self) -> u16 {
        80 + u16::try_from(self.0 >> 16).unwrap_or(0)
    }

    /// What tells the service from others.
    fn name(&self) -> Result<Attribute> {
        let parts = [
            plain(attribute::SERVICE_FAMILY, &FAMILY.to_ne_bytes())?,
            plain(attribute::SERVICE_PROTOCOL, &TCP.to_ne_bytes())?,
            plain(attribute::SERVICE_ADDRESS, &padded(self.address()))?,
            plain(attribute::SERVICE_PORT, &self.port().to_be_bytes())?,
        ];
        nest_all(plain(attribute::SERVICE, &[])?, &parts)
    }
}

/// Everything else about a service.
fn common() -> Result<[Attribute; 4]> {
    Ok([
        plain(attribute::SERVICE_SCHEDULER, b"rr\0")?,
        plain(attribute::SERVICE_FLAGS, &[0; 8])?,
        plain(attribute::SERVICE_TIMEOUT, &[0; 4])?,
        plain(attribute::SERVICE_NETMASK, &[0xff; 4])?,
    ])
}

/// The destination of this number, the same in every service; masquerading is forwarding method 0.
fn destination(number: u32) -> Result<Attribute> {
    let address = Ipv4Addr::from_bits(Ipv4Addr::new(10, 128, 0, 0).to_bits() + number);
    let parts = [
        plain(attribute::DEST_ADDRESS, &padded(address))?,
        plain(attribute::DEST_PORT, &8080_u16.to_be_bytes())?,
        plain(attribute::DEST_FORWARD, &0_u32.to_ne_bytes())?,
        plain(attribute::DEST_WEIGHT, &1_u32.to_ne_bytes())?,
        plain(attribute::DEST_UPPER, &0_u32.to_ne_bytes())?,
        plain(attribute::DEST_LOWER, &0_u32.to_ne_bytes())?,
        plain(attribute::DEST_FAMILY, &FAMILY.to_ne_bytes())?,
    ];
    nest_all(plain(attribute::DEST, &[])?, &parts)
}

/// `union nf_inet_addr`: room for an IPv6 address.
fn padded(address: Ipv4Addr) -> [u8; 16] {
    let mut union = [0; 16];
    union[..4].copy_from_slice(&address.octets());
    union
}

fn plain(kind: u16, payload: &[u8]) -> Result<Attribute> {
    let kind = AttrTypeBuilder::default().nla_type(kind).build()?;
    Ok(NlattrBuilder::default()
        .nla_type(kind)
        .nla_payload(Buffer::from(payload))
        .build()?)
}

fn nest_all(outer: Attribute, parts: &[Attribute]) -> Result<Attribute> {
    parts
        .iter()
        .try_fold(outer, |outer, part| Ok(outer.nest(part)?))
}

/// A netlink socket to IPVS.
struct Line {
    socket: NlSocketHandle,
    family: u16,
    sent: u32,
}

impl Line {
    fn open() -> Result<Self> {
        let (router, _) = NlRouter::connect(NlFamily::Generic, None, Groups::empty())
            .context("no generic netlink")?;
        let family = router
            .resolve_genl_family("IPVS")
            .context("the kernel has no IPVS")?;
        let socket = NlSocketHandle::connect(NlFamily::Generic, None, Groups::empty())?;
        Ok(Self {
            socket,
            family,
            sent: 0,
        })
    }

    /// Sends a request. The kernel answers the `last` one before [`Line::settle`], and those it refuses.
    fn request(
        &mut self,
        command: u8,
        attributes: GenlBuffer<u16, Buffer>,
        last: bool,
    ) -> Result<()> {
        let body: Genlmsghdr<u8, u16> = GenlmsghdrBuilder::default()
            .cmd(command)
            .version(VERSION)
            .attrs(attributes)
            .build()?;
        self.sent += 1;
        let message = NlmsghdrBuilder::default()
            .nl_type(self.family)
            .nl_flags(if last {
                NlmF::REQUEST | NlmF::ACK
            } else {
                NlmF::REQUEST
            })
            .nl_seq(self.sent)
            .nl_payload(NlPayload::Payload(body))
            .build()?;
        Ok(self.socket.send(&message)?)
    }

    /// Reads the first answer: a refusal, or else the one to the last request.
    fn settle(&mut self) -> Result<()> {
        let (mut answers, _) = self.socket.recv::<u16, Buffer>()?;
        let answer = answers.next().context("IPVS does not answer")??;
        match answer.nl_payload() {
            NlPayload::Err(refusal) => bail!(
                "IPVS refuses it: {}",
                io::Error::from_raw_os_error(-refusal.error())
            ),
            _ => Ok(()),
        }
    }
}
