/* The mock upstream of benchmarks/proxy.py: answers every request at once, from one epoll loop.
 *
 * A body with "stream":true gets as many server-sent events of 225 bytes as its "max_tokens" (or
 * "max_completion_tokens", which some proxies make of it) says, one every INTERVAL_US, the first at
 * once; each carries the clock (CLOCK_MONOTONIC, ns) as "@" and 19 digits. Any other request gets 1 KB
 * of JSON. Requests are not pipelined.
 *
 * Usage: mock INTERVAL_US    listens on 127.0.0.1, prints its port, serves until killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { BODY = 1024, EVENT = 225, MAX_FD = 4096, MAX_REQUEST = 1 << 21 };

struct conn {
    char *in;
    size_t size, room;
    int left;         /* events still to send; 0: no stream */
    uint64_t due;     /* when the next one is sent, ns */
    struct conn *next;
    int fd;
};

static struct conn conns[MAX_FD];
static struct conn *first, *last; /* streams by due time: all have one interval, so a queue is sorted */
static int clock_fd;
static uint64_t interval_ns;
static char plain[2048];
static size_t plain_size;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void arm(void) {
    struct itimerspec at = {0};
    if (first) {
        at.it_value.tv_sec = (time_t)(first->due / 1000000000u);
        at.it_value.tv_nsec = (long)(first->due % 1000000000u);
    }
    timerfd_settime(clock_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void enqueue(struct conn *c, uint64_t due) {
    c->due = due;
    c->next = NULL;
    if (last) last->next = c; else first = c;
    last = c;
}

static void drop(struct conn *c) {
    if (c->left) {
        struct conn **at = &first, *before = NULL;
        while (*at != c) { before = *at; at = &before->next; }
        *at = c->next;
        if (last == c) last = before;
    }
    close(c->fd);
    c->left = 0;
    c->size = 0;
}

/* Send all or give up: a peer that lets the kernel's megabytes fill up is not one to measure. */
static int say(struct conn *c, const char *data, size_t size) {
    return send(c->fd, data, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static int say_event(struct conn *c) {
    char out[1024], json[512];
    int size = snprintf(json, sizeof json,
        "data: {\"id\":\"chatcmpl-9f2kQmZ\",\"object\":\"chat.completion.chunk\",\"created\":1763700000,"
        "\"model\":\"gpt-4o-mini\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@%019llu\"},"
        "\"logprobs\":null,\"finish_reason\":null}]}", (unsigned long long)now_ns());
    memset(json + size, ' ', (size_t)(EVENT - 2 - size)); /* JSON may end in blanks */
    memcpy(json + EVENT - 2, "\n\n", 2);
    size = snprintf(out, sizeof out, "%x\r\n%.*s\r\n", EVENT, EVENT, json);
    if (--c->left == 0) size += snprintf(out + size, sizeof out - (size_t)size, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    return say(c, out, (size_t)size);
}

static int begin_stream(struct conn *c, size_t whole) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
        "x-request-id: req_0123456789\r\nTransfer-Encoding: chunked\r\n\r\n";
    char *tokens = memmem(c->in, whole, "_tokens\":", 9);
    int events = tokens ? atoi(tokens + 9) : 0;
    c->left = events < 2 ? 2 : events;
    enqueue(c, now_ns() + interval_ns);
    arm();
    return say(c, head, sizeof head - 1) && say_event(c);
}

static void on_clock(void) {
    uint64_t ticks, now;
    if (read(clock_fd, &ticks, sizeof ticks) < 0) return;
    now = now_ns();
    while (first && first->due <= now) {
        struct conn *c = first;
        first = c->next;
        if (!first) last = NULL;
        if (!c->left) continue;
        if (c->left > 1) enqueue(c, c->due + interval_ns);
        if (!say_event(c)) drop(c);
    }
    arm();
}

/* Return the size of a complete request at the buffer's start, or 0. */
static size_t complete(struct conn *c) {
    char *body = memmem(c->in, c->size, "\r\n\r\n", 4), *length, *end;
    if (!body) return 0;
    *body = 0;
    body += 4;
    length = strcasestr(c->in, "\ncontent-length:");
    if (length || !strcasestr(c->in, "\ntransfer-encoding:")) {
        size_t whole = (size_t)(body - c->in) + (length ? strtoul(length + 16, NULL, 10) : 0);
        body[-4] = '\r';
        return whole <= c->size ? whole : 0;
    }
    body[-4] = '\r';
    end = memmem(body - 2, c->size - (size_t)(body - c->in) + 2, "\r\n0\r\n\r\n", 7);
    return end ? (size_t)(end - c->in) + 7 : 0;
}

static void on_bytes(struct conn *c) {
    ssize_t got;
    size_t whole;
    int ok;
    if (c->size == c->room && !(c->in = realloc(c->in, c->room = c->room ? c->room * 2 : 65536))) exit(1);
    got = recv(c->fd, c->in + c->size, c->room - c->size, 0);
    if (got < 0 && errno == EAGAIN) return; /* the descriptor was another connection's in this round */
    if (got <= 0 || c->size > MAX_REQUEST) { drop(c); return; }
    c->size += (size_t)got;
    if (c->left || !(whole = complete(c))) return;
    if (memmem(c->in, whole, "\"stream\":true", 13) || memmem(c->in, whole, "\"stream\": true", 14))
        ok = begin_stream(c, whole);
    else
        ok = say(c, plain, plain_size);
    memmove(c->in, c->in + whole, c->size -= whole);
    if (!ok) drop(c);
}

static void on_connection(int listener, int poll) {
    struct epoll_event event = {.events = EPOLLIN};
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= MAX_FD) { close(fd); return; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    conns[fd].fd = event.data.fd = fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

static void write_plain(void) {
    char body[BODY + 1];
    int size = snprintf(body, sizeof body,
        "{\"id\":\"chatcmpl-9f2kQmZ\",\"object\":\"chat.completion\",\"created\":1763700000,\"model\":\"gpt-4o-mini\","
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    const char *tail = "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":180,\"completion_tokens\":120,\"total_tokens\":300}}";
    while (size < BODY - (int)strlen(tail)) { body[size] = "lorem "[size % 6]; size++; }
    strcpy(body + size, tail);
    plain_size = (size_t)snprintf(plain, sizeof plain,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_0123456789\r\n"
        "openai-processing-ms: 12\r\nContent-Length: %d\r\n\r\n%s", BODY, body);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    struct epoll_event event = {.events = EPOLLIN}, events[256];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    if (argc != 2) { fprintf(stderr, "usage: mock INTERVAL_US\n"); return 2; }
    interval_ns = strtoull(argv[1], NULL, 10) * 1000;
    write_plain();
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) { perror("listen"); return 1; }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    clock_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    event.data.fd = listener;
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = clock_fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, clock_fd, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) on_connection(listener, poll);
            else if (fd == clock_fd) on_clock();
            else on_bytes(&conns[fd]);
        }
    }
}
