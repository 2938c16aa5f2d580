/* The load of benchmarks/proxy.py: one epoll loop, latencies as they were (no correction).
 *
 * requests: CONNECTIONS clients, each sending the next request when the last is answered, until
 *   SECONDS have passed; what is under way then is still waited for and counted, so that work done
 *   and answers counted agree. A client whose idle connection was closed connects again.
 * streams: CONNECTIONS server-sent event streams, begun evenly spread over SECONDS, each read to its
 *   end. Times to the first event; transit of every event by the clock that the mock wrote into it.
 *
 * Usage: load requests|streams PORT CONNECTIONS SECONDS LIMIT_S REQUEST_FILE
 * REQUEST_FILE holds the request's bytes; after LIMIT_S all stops. Prints one line of JSON.
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
#include <time.h>
#include <unistd.h>

enum { ROOM = 1 << 18, MAX_CONNS = 1024, MAX_ERRORS = 200, STAMP = 20 };

struct conn {
    int fd, answered; /* answered: bytes of the present answer have arrived */
    size_t size;
    uint64_t sent, first;
    char in[ROOM];
};

struct times {
    double *us;
    size_t count, room;
};

static struct conn *conns;
static struct times latency, transit;
static char request[1 << 20];
static size_t request_size;
static int poll_fd, port, streaming, active, errors, completed;
static uint64_t stop_at, last_done;

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add(struct times *t, uint64_t ns) {
    if (t->count == t->room && !(t->us = realloc(t->us, (t->room = t->room ? t->room * 2 : 65536) * sizeof *t->us)))
        exit(1);
    t->us[t->count++] = (double)ns / 1000;
}

static void finish(struct conn *c) {
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
    active--;
}

static int speak(struct conn *c) {
    c->size = 0;
    c->answered = 0;
    c->first = 0;
    return send(c->fd, request, request_size, MSG_NOSIGNAL) == (ssize_t)request_size;
}

static void open_and_speak(struct conn *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;
    to.sin_port = htons((uint16_t)port);
    if (c->fd >= 0) close(c->fd);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) || epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event) ||
        !speak(c)) {
        errors++;
        finish(c);
    }
}

static void begin(struct conn *c) {
    active++;
    c->fd = -1;
    c->sent = now_ns();
    open_and_speak(c);
}

static void fail(struct conn *c) {
    errors++;
    if (streaming || errors > MAX_ERRORS || now_ns() >= stop_at) { finish(c); return; }
    c->sent = now_ns();
    open_and_speak(c);
}

static int ends_chunked(struct conn *c) { return c->size >= 5 && !memcmp(c->in + c->size - 5, "0\r\n\r\n", 5); }

/* Return whether the answer in the buffer is whole; requests are not pipelined. */
static int whole(struct conn *c) {
    char *body = memmem(c->in, c->size, "\r\n\r\n", 4), *length;
    if (!body) return 0;
    *body = 0;
    length = strcasestr(c->in, "\ncontent-length:");
    *body = '\r';
    if (!length) return ends_chunked(c);
    return c->size >= (size_t)(body + 4 - c->in) + strtoul(length + 16, NULL, 10);
}

static void on_answer(struct conn *c) {
    uint64_t now;
    if (!whole(c)) return;
    if (memcmp(c->in + 8, " 200", 4)) { fail(c); return; }
    now = last_done = now_ns();
    add(&latency, now - c->sent);
    completed++;
    if (now >= stop_at) { finish(c); return; }
    c->sent = now;
    if (!speak(c)) open_and_speak(c);
}

/* Take the clocks out of what has arrived; keep what may be the beginning of one. */
static void on_events(struct conn *c) {
    char *at = c->in, *end = c->in + c->size, *found, *after;
    uint64_t now = now_ns();
    while ((found = memchr(at, '@', (size_t)(end - at))) && end - found >= STAMP) {
        uint64_t written = strtoull(found + 1, &after, 10);
        if (!c->first) add(&latency, (c->first = now) - c->sent);
        if (after == found + STAMP) add(&transit, now - written); /* else a chunk's frame is in between */
        at = found + STAMP;
    }
    if (memmem(c->in, c->size, "[DONE]", 6) && ends_chunked(c)) {
        completed++;
        last_done = now;
        finish(c);
        return;
    }
    if (end - at > 64 && !found) at = end - 64; /* [DONE] and the last chunk may come in parts */
    else if (found) at = found;
    memmove(c->in, at, c->size = (size_t)(end - at));
}

static void on_bytes(struct conn *c) {
    ssize_t got = recv(c->fd, c->in + c->size, ROOM - 1 - c->size, 0);
    if (got <= 0) {
        if (!streaming && !c->answered && errors <= MAX_ERRORS && got == 0) open_and_speak(c);
        else fail(c);
        return;
    }
    if (streaming && !c->answered && got > 12 && memcmp(c->in + 8, " 200", 4)) { fail(c); return; }
    c->answered = 1;
    c->size += (size_t)got;
    if (streaming) on_events(c); else on_answer(c);
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(struct times *t, double q) { return t->count ? t->us[(size_t)(q * (double)(t->count - 1))] : 0; }

static void report(uint64_t begun) {
    qsort(latency.us, latency.count, sizeof *latency.us, by_size);
    qsort(transit.us, transit.count, sizeof *transit.us, by_size);
    printf("{\"completed\": %d, \"errors\": %d, \"unfinished\": %d, \"elapsed_s\": %.6f, \"p50_us\": %.1f, "
           "\"p99_us\": %.1f, \"events\": %zu, \"transit_p50_us\": %.1f, \"transit_p99_us\": %.1f}\n",
           completed, errors, active, completed ? (double)(last_done - begun) / 1e9 : 0, quantile(&latency, 0.5),
           quantile(&latency, 0.99), transit.count, quantile(&transit, 0.5), quantile(&transit, 0.99));
}

int main(int argc, char **argv) {
    struct epoll_event events[256];
    if (argc != 7) { fprintf(stderr, "usage: load requests|streams PORT CONNECTIONS SECONDS LIMIT_S FILE\n"); return 2; }
    streaming = !strcmp(argv[1], "streams");
    port = atoi(argv[2]);
    int count = atoi(argv[3]), begun = 0;
    uint64_t span = (uint64_t)(atof(argv[4]) * 1e9), start = now_ns(), limit = start + (uint64_t)(atof(argv[5]) * 1e9);
    FILE *file = fopen(argv[6], "rb");
    if (!file || count < 1 || count > MAX_CONNS) { fprintf(stderr, "load: no request file, or too many\n"); return 2; }
    request_size = fread(request, 1, sizeof request, file);
    fclose(file);
    conns = calloc((size_t)count, sizeof *conns);
    poll_fd = epoll_create1(0);
    stop_at = start + span;
    while (begun < count || active) {
        uint64_t now = now_ns(), due = start + (streaming ? span * (uint64_t)begun / (uint64_t)count : 0);
        if (now >= limit) break;
        if (begun < count && now >= due) { begin(&conns[begun++]); continue; }
        struct timespec wait = {0, 100000000};
        if (begun < count && due - now < 100000000) wait.tv_nsec = (long)(due - now);
        int ready = epoll_pwait2(poll_fd, events, 256, &wait, NULL);
        for (int i = 0; i < ready; i++) on_bytes(events[i].data.ptr);
    }
    report(start);
    return 0;
}
