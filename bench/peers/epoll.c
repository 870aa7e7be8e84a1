// The ceiling: a bare epoll loop that hands each room's lines to its four members, with no protocol at all.
// Every four accepted connections in a row are a room. Whole lines are written to every member straight from
// the read buffer, so a batch of lines costs one read and four writes, and nothing else.
// With -DIO_SUBMIT the writes of a batch of events share one system call.
// Does I/O. Build: gcc -O2 [-DIO_SUBMIT] -o epoll epoll.c; run: ./epoll PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MEMBERS = 4, EVENTS = 1024, BUFFER = 65536, MAX_LINE = 4096, MAX_FDS = 20000 };

struct connection {
    int room;
    uint16_t kept;  // bytes of an unfinished line
    char *rest;     // the unfinished line; only there while needed
};

static struct connection connections[MAX_FDS];
static int rooms[MAX_FDS / MEMBERS][MEMBERS];
static char buffer[MAX_LINE + BUFFER];

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void leave(int fd) {
    free(connections[fd].rest);
    connections[fd] = (struct connection){.room = -1};
    close(fd);
}

#ifdef IO_SUBMIT
#include "io_submit.h"
#else
static void prepare(void) {}
static void submit(void) {}

static const char *keep(const char *bytes, size_t length) {
    (void)length;
    return bytes;
}

// Members read all the time in this benchmark; one that doesn't is a broken run, so it ends the server.
static void write_all(int fd, const char *bytes, size_t length) {
    if (write(fd, bytes, length) != (ssize_t)length) die("write");
}
#endif

static void serve(int fd) {
    struct connection *from = &connections[fd];
    size_t kept = from->kept;
    if (kept) memcpy(buffer, from->rest, kept);
    ssize_t got = read(fd, buffer + kept, BUFFER);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        leave(fd);
        return;
    }
    size_t have = kept + (size_t)got;
    char *last = memrchr(buffer, '\n', have);
    size_t whole = last ? (size_t)(last - buffer) + 1 : 0;
    if (whole) {
        const char *lines = keep(buffer, whole);
        for (int i = 0; i < MEMBERS; i++) write_all(rooms[from->room][i], lines, whole);
    }
    size_t rest = have - whole;
    if (rest > MAX_LINE) {
        leave(fd);
        return;
    }
    if (rest) {
        if (!from->rest) from->rest = malloc(MAX_LINE);
        if (!from->rest) die("malloc");
        memcpy(from->rest, buffer + whole, rest);
    } else if (from->rest) {
        free(from->rest);
        from->rest = NULL;
    }
    from->kept = (uint16_t)rest;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s PORT\n", argv[0]);
        return 2;
    }
    struct rlimit files = {MAX_FDS, MAX_FDS};
    if (setrlimit(RLIMIT_NOFILE, &files) < 0) perror("setrlimit");
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0) die("bind");
    if (listen(listener, 1024) < 0) die("listen");

    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    int accepted = 0;
    prepare();
    for (;;) {
        submit();
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MAX_FDS || accepted / MEMBERS >= MAX_FDS / MEMBERS) die("too many connections");
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                connections[fd] = (struct connection){.room = accepted / MEMBERS};
                rooms[accepted / MEMBERS][accepted % MEMBERS] = fd;
                accepted++;
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
                if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl");
            }
        }
    }
}
