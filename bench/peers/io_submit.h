// For epoll.c: all writes of a batch of events in one io_submit (Linux AIO), which is what such a batch costs the kernel beside the entry
// into so many system calls. Does I/O.
#include <linux/aio_abi.h>
#include <sys/syscall.h>

enum { MOST = 256, ARENA = 1 << 20 };
static aio_context_t context;
static struct iocb requests[MOST];
static struct iocb *pointers[MOST];
static int queued;
static char arena[ARENA];
static size_t used;
// `struct aio_ring` of fs/aio.c: completions are read from it without a system call.
struct ring {
    unsigned id, nr, head, tail, magic, compatible, incompatible, header;
    struct io_event events[];
};

static void submit(void) {
    int at = 0;
    while (at < queued) {
        long n = syscall(SYS_io_submit, context, (long)(queued - at), pointers + at);
        if (n <= 0) die("io_submit");
        at += n;
    }
    struct ring *ring = (struct ring *)context;
    int got = 0;
    while (got < queued) {
        unsigned head = ring->head, tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);
        while (head != tail) {
            struct io_event *event = &ring->events[head];
            if (event->res != (long)requests[event->data].aio_nbytes) {
                fprintf(stderr, "write: %lld\n", (long long)event->res);
                exit(1);
            }
            head = (head + 1) % ring->nr;
            got++;
        }
        __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
    }
    queued = 0;
    used = 0;
}

// The bytes, where they stay until their batch is written. There is place for MEMBERS writes of them.
static const char *keep(const char *bytes, size_t length) {
    if (queued + MEMBERS > MOST || used + length > ARENA) submit();
    char *kept = arena + used;
    memcpy(kept, bytes, length);
    used += length;
    return kept;
}

static void prepare(void) {
    if (syscall(SYS_io_setup, MOST, &context) < 0) die("io_setup");
}

// Members read all the time in this benchmark; one that doesn't is a broken run, so it ends the server.
static void write_all(int fd, const char *bytes, size_t length) {
    requests[queued] = (struct iocb){.aio_data = (uint64_t)queued,
                                     .aio_lio_opcode = IOCB_CMD_PWRITE,
                                     .aio_fildes = (uint32_t)fd,
                                     .aio_buf = (uintptr_t)bytes,
                                     .aio_nbytes = length};
    pointers[queued] = &requests[queued];
    queued++;
}
