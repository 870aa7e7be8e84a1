//! Many socket writes in one system call. Does I/O: writes.
//!
//! A server that sends one line to many clients spends nearly all of its time in the kernel, one `send` for each client. io_uring
//! would batch those, but the default seccomp profiles of containerd and Docker deny it; they allow Linux AIO (`io_submit`), which
//! carries out a write to a non-blocking socket before it returns. So a batch costs one system call, and each of its writes has the
//! same result as a `write` of its own would have.
//!
//! [`WriteBatch::new`] falls back to one `write` each where the kernel offers no context, and says why.

mod context;

use std::io;
use std::os::fd::BorrowedFd;

use context::Context;

/// Writes batches of buffers to sockets. Kept by one thread and used again: it holds a context of the kernel.
#[derive(Debug)]
pub struct WriteBatch {
    context: Option<Context>,
}

impl WriteBatch {
    /// Writes that one system call carries at most. The kernel's share of a larger batch is not smaller, and `fs.aio-max-nr`
    /// (65,536 by default) bounds the sum over all contexts of a node.
    pub const CAPACITY: usize = 256;

    /// A batch with a context of the kernel. Where there is none to be had (a seccomp profile, `fs.aio-max-nr` used up, a kernel
    /// without AIO) the batch writes one by one, and the error says why.
    pub fn new() -> (Self, Option<io::Error>) {
        match Context::new(Self::CAPACITY) {
            Ok(context) => (Self { context: Some(context) }, None),
            Err(error) => (Self::one_by_one(), Some(error)),
        }
    }

    /// A batch that makes a system call for each write.
    pub fn one_by_one() -> Self {
        Self { context: None }
    }

    /// Whether several writes share a system call.
    pub fn is_batched(&self) -> bool {
        self.context.is_some()
    }

    /// Writes each buffer to its socket, in order, and puts what came of each into `results`, in the same order: the bytes that
    /// were written, perhaps fewer than there are, or the error. [`io::ErrorKind::WouldBlock`]: the socket is full;
    /// [`io::ErrorKind::Interrupted`] does not happen. Returns when the kernel is done with all buffers.
    ///
    /// The sockets should be non-blocking, and SIGPIPE ignored, as Rust's runtime does.
    pub fn write<'a>(
        &mut self,
        writes: impl IntoIterator<Item = (BorrowedFd<'a>, &'a [u8])>,
        results: &mut Vec<io::Result<usize>>,
    ) {
        results.clear();
        let mut writes = writes.into_iter();
        let Some(context) = &mut self.context else {
            results.extend(writes.map(|(socket, bytes)| write_one(socket, bytes)));
            return;
        };
        let mut part: Vec<(BorrowedFd<'a>, &'a [u8])> = Vec::with_capacity(writes.size_hint().0.min(Self::CAPACITY));
        loop {
            part.clear();
            part.extend(writes.by_ref().take(Self::CAPACITY));
            match part[..] {
                [] => return,
                // Cheaper alone.
                [(socket, bytes)] => results.push(write_one(socket, bytes)),
                _ => context.write(&part, results, write_one),
            }
        }
    }
}

fn write_one(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::write(socket, bytes))?)
}
