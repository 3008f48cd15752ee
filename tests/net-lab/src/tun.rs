//! TUN devices: where the kernel's IP packets come out at a descriptor, and go in again.
//!
//! Packets come out complete: with checksums and never larger than the MTU, since the device offers
//! the kernel no offload. The one ioctl, TUNSETIFF of `linux/if_tun.h`, is the crate's only unsafe.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::ioctl::{Setter, ioctl, opcode};

use crate::{LabError, Namespace};

/// The kernel's `struct ifreq`, of which TUNSETIFF reads the name and the flags.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; 16],
    flags: i16,
    rest: [u8; 22],
}

/// IP packets without a header in front of them.
const IFF_TUN: i16 = 0x0001;
const IFF_NO_PI: i16 = 0x1000;
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);

/// Makes a device on a host; it lives as long as the file, which does not block.
pub(crate) fn open(namespace: &Namespace, name: &str) -> Result<File, LabError> {
    let failed = |source| LabError::Tun {
        name: name.to_owned(),
        source,
    };
    let mut request = InterfaceRequest {
        name: [0; 16],
        flags: IFF_TUN | IFF_NO_PI,
        rest: [0; 22],
    };
    // The last byte stays zero: the kernel reads a C string.
    let room = &mut request.name[..15];
    let fitting = room.get_mut(..name.len());
    let fitting = fitting.ok_or_else(|| failed(io::Error::other("the name is over 15 bytes")))?;
    fitting.copy_from_slice(name.as_bytes());
    let open = move || {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open("/dev/net/tun")?;
        // SAFETY: TUNSETIFF takes a pointer to a `struct ifreq`, which `InterfaceRequest` is laid out
        // as (40 bytes on 64-bit kernels), and keeps nothing of it after the call.
        unsafe { ioctl(&file, Setter::<TUNSETIFF, _>::new(request)) }?;
        Ok(file)
    };
    namespace.run(open)?.map_err(failed)
}
