//! One AIO context and its four system calls. Does I/O, and holds all of the workspace's `unsafe`.
//!
//! Sources of the layouts and rules: io_submit(2), io_setup(2), and the kernel's include/uapi/linux/aio_abi.h and fs/aio.c.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_long, c_void};

// `Request` has its `key` and `rw_flags` in this order on little-endian machines alone.
const _: () = assert!(cfg!(all(target_os = "linux", target_endian = "little", target_pointer_width = "64")));

/// `IOCB_CMD_PWRITE`. A socket has no position: its offset has to be 0.
const WRITE: u16 = 1;
/// `AIO_RING_MAGIC`: completions can be read from the ring in shared memory.
const RING_MAGIC: u32 = 0xa10a_10a1;

/// `struct iocb`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Request {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    length: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    result_fd: u32,
}

/// `struct io_event`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Completion {
    data: u64,
    request: u64,
    result: i64,
    result2: i64,
}

/// `struct aio_ring`: where the kernel puts completions. The address of a context is the ring's.
#[repr(C, align(8))]
#[derive(Debug)]
struct Ring {
    id: u32,
    length: u32,
    head: AtomicU32,
    tail: AtomicU32,
    magic: u32,
    compatible: u32,
    incompatible: u32,
    header_length: u32,
}

/// A context of the kernel, with no request under way between two calls.
#[derive(Debug)]
pub struct Context {
    ring: NonNull<Ring>,
    /// Completions are read from the ring; else by `io_getevents`.
    shared: bool,
    /// Kept for their memory.
    requests: Vec<Request>,
    pointers: Vec<*const Request>,
    completions: Vec<Completion>,
}

// SAFETY: the context belongs to the process, not to a thread; the pointers are only followed during `write`, which borrows the
// whole of it.
unsafe impl Send for Context {}

impl Context {
    pub fn new(capacity: usize) -> io::Result<Self> {
        let mut address: u64 = 0;
        // SAFETY: io_setup writes the context's address into the word that it is given, and touches nothing else of ours.
        check(unsafe { libc::syscall(libc::SYS_io_setup, capacity as c_long, &raw mut address) })?;
        let ring = NonNull::new(address as *mut Ring).ok_or(io::ErrorKind::InvalidData)?;
        // SAFETY: the kernel has mapped the ring there, and it stays until io_destroy in `drop`.
        let header = unsafe { ring.as_ref() };
        let shared = header.magic == RING_MAGIC && header.incompatible == 0 && header.length > 0;
        Ok(Self {
            ring,
            shared,
            requests: Vec::with_capacity(capacity),
            pointers: Vec::with_capacity(capacity),
            completions: Vec::with_capacity(capacity),
        })
    }

    /// Carries out `writes`, at most as many as the context holds, and appends what came of each to `results`. What the kernel
    /// does not take, or was interrupted in, goes to `alone`.
    pub fn write(
        &mut self,
        writes: &[(BorrowedFd<'_>, &[u8])],
        results: &mut Vec<io::Result<usize>>,
        alone: impl Fn(BorrowedFd<'_>, &[u8]) -> io::Result<usize>,
    ) {
        self.requests.clear();
        self.requests.extend(writes.iter().enumerate().map(|(index, (socket, bytes))| Request {
            data: index as u64,
            opcode: WRITE,
            fd: socket.as_raw_fd().cast_unsigned(),
            buffer: bytes.as_ptr() as u64,
            length: bytes.len() as u64,
            ..Request::default()
        }));
        self.pointers.clear();
        self.pointers.extend(self.requests.iter().map(std::ptr::from_ref));
        let first = results.len();
        let mut from = 0;
        while from < writes.len() {
            let taken = self.submit(from);
            self.await_completions(taken);
            // A write to a socket is done when io_submit returns, so that the completions are in the order of the requests. That
            // is not relied upon.
            self.completions.sort_unstable_by_key(|completion| completion.data);
            for completion in &self.completions {
                let (socket, bytes) = writes[completion.data as usize];
                results.push(match usize::try_from(completion.result) {
                    Ok(count) => Ok(count),
                    Err(_) if completion.result == -i64::from(libc::EINTR) => alone(socket, bytes),
                    Err(_) => Err(io::Error::from_raw_os_error(-completion.result as i32)),
                });
            }
            from += taken;
            if let Some(&(socket, bytes)) = writes.get(from) {
                // The first of the rest was refused: a bad descriptor, or no memory for the request.
                results.push(alone(socket, bytes));
                from += 1;
            }
        }
        debug_assert_eq!(results.len() - first, writes.len());
    }

    /// Submits the requests from the one at `from` on. Returns how many the kernel took; it stops at one that it refuses.
    fn submit(&self, from: usize) -> usize {
        let pointers = &self.pointers[from..];
        // SAFETY: the pointers lead to `self.requests`, which nothing changes before their completions are there; the buffers that
        // those name are borrowed by the caller of `write`, which does not return before that either.
        let taken = unsafe {
            libc::syscall(libc::SYS_io_submit, self.ring.as_ptr(), pointers.len() as c_long, pointers.as_ptr())
        };
        usize::try_from(taken).unwrap_or(0)
    }

    /// Waits for `count` completions of requests that were taken: until then the kernel may use their buffers.
    fn await_completions(&mut self, count: usize) {
        self.completions.clear();
        if self.shared {
            self.read_ring(count);
        }
        while self.completions.len() < count {
            let missing = count - self.completions.len();
            let spare = &mut self.completions.spare_capacity_mut()[..missing];
            // SAFETY: io_getevents writes at most `missing` completions into the spare capacity, which is as long.
            let got = unsafe {
                libc::syscall(
                    libc::SYS_io_getevents,
                    self.ring.as_ptr(),
                    missing as c_long,
                    missing as c_long,
                    spare.as_mut_ptr(),
                    std::ptr::null_mut::<c_void>(),
                )
            };
            match check(got) {
                // SAFETY: so many have been written, one after the other, each of them plain integers.
                Ok(got) => unsafe { self.completions.set_len(self.completions.len() + got.cast_unsigned() as usize) },
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel still has buffers that would not be ours any more after a return.
                Err(_) => std::process::abort(),
            }
        }
    }

    /// Takes up to `count` completions out of the ring in shared memory, which spares a system call.
    fn read_ring(&mut self, count: usize) {
        // SAFETY: the ring is mapped until `drop`; what the kernel changes in it meanwhile are atomics here.
        let ring = unsafe { self.ring.as_ref() };
        let mut head = ring.head.load(Ordering::Relaxed);
        // Acquire: the completions up to `tail` were written before it.
        let tail = ring.tail.load(Ordering::Acquire);
        // SAFETY: the completions follow the header in the same mapping.
        let first = unsafe { self.ring.as_ptr().byte_add(ring.header_length as usize) }.cast::<Completion>();
        while head != tail && self.completions.len() < count {
            // SAFETY: `head` is below the ring's length, since the kernel and this function keep it there; the page is aligned,
            // and so is the header's length.
            let completion = unsafe { first.add(head as usize) };
            // SAFETY: as above; the kernel does not write to an entry between head and tail.
            self.completions.push(unsafe { completion.read() });
            head = (head + 1) % ring.length;
        }
        // Release: the kernel may use the entries again.
        ring.head.store(head, Ordering::Release);
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the context is ours and no request is under way. Nothing uses the ring after this.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.ring.as_ptr()) };
    }
}

fn check(returned: c_long) -> io::Result<c_long> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
