/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bare transfers for the limit of DESIGN.md, "Measures": libcurl's
 * multi_socket under libuv and nothing else. What is counted is the CPU time of
 * this process, user and system.
 *
 *   bare get PARALLEL URL...              what comes is thrown away
 *   bare put PARALLEL BYTES PART URL      objects of PART bytes, named URL0,
 *                                         URL1, ...; each from the same buffer
 *
 * Prints one line of JSON. Certificates are not verified: that costs a
 * handshake, and these are about bytes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <curl/curl.h>
#include <uv.h>

#define BUFFER (256L << 10)

struct bare;

struct item {
    struct bare *bare;
    CURL *easy;
    char *url;
    uint64_t at, len; /* of a PUT */
    bool busy;
};

struct watch {
    uv_poll_t poll;
    struct bare *bare;
    curl_socket_t fd;
};

struct bare {
    uv_loop_t loop;
    uv_timer_t timer;
    CURLM *multi;
    bool put;
    char **urls;           /* of GETs */
    const char *prefix;    /* of PUTs */
    uint64_t total, part;  /* of PUTs */
    uint64_t count, next, ended, bytes;
    uint8_t *data;
    struct curl_slist *headers;
    unsigned parallel;
    struct item item[64];
};

static _Noreturn void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bare: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static void need(bool ok, const char *what)
{
    if (!ok)
        die("%s failed", what);
}

static double cpu_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* --- one transfer after the other -------------------------------------------- */

static size_t on_write(char *data, size_t size, size_t n, void *ctx)
{
    struct item *i = ctx;

    i->bare->bytes += size * n;
    return size * n;
}

static size_t on_read(char *out, size_t size, size_t n, void *ctx)
{
    struct item *i = ctx;
    size_t len = size * n;

    if (len > i->len - i->at)
        len = (size_t)(i->len - i->at);
    memcpy(out, i->bare->data + i->at, len);
    i->at += len;
    i->bare->bytes += len;
    return len;
}

static void start_next(struct item *i)
{
    struct bare *b = i->bare;
    bool ok = true;

    if (b->next == b->count)
        return;
    if (!i->easy)
        i->easy = curl_easy_init();
    need(i->easy, "curl");
    curl_easy_reset(i->easy);
    free(i->url);
    i->url = NULL;
    if (asprintf(&i->url, b->put ? "%s%" PRIu64 : "%s",
                 b->put ? b->prefix : b->urls[b->next], b->next) < 0)
        die("no memory");
#define SET(option, value) \
    ok = ok && curl_easy_setopt(i->easy, CURLOPT_##option, value) == CURLE_OK
    SET(URL, i->url);
    SET(PRIVATE, i);
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(NOSIGNAL, 1L);
    SET(PROXY, "");
    SET(PATH_AS_IS, 1L);
    SET(FAILONERROR, 1L);
    SET(SSL_VERIFYPEER, 0L);
    SET(SSL_VERIFYHOST, 0L);
    SET(BUFFERSIZE, BUFFER);
    SET(WRITEFUNCTION, on_write);
    SET(WRITEDATA, i);
    if (b->put) {
        i->at = 0;
        i->len = b->total - b->next * b->part;
        if (i->len > b->part)
            i->len = b->part;
        SET(UPLOAD, 1L);
        SET(UPLOAD_BUFFERSIZE, BUFFER);
        SET(INFILESIZE_LARGE, (curl_off_t)i->len);
        SET(READFUNCTION, on_read);
        SET(READDATA, i);
        SET(HTTPHEADER, b->headers); /* no waiting for 100 Continue */
    }
#undef SET
    need(ok, "an option");
    b->next++;
    i->busy = true;
    need(curl_multi_add_handle(b->multi, i->easy) == CURLM_OK, "adding");
}

static void collect(struct bare *b)
{
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(b->multi, &left)) != NULL) {
        struct item *i = NULL;
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&i);
        if (code != CURLE_OK)
            die("%s: %s", i->url, curl_easy_strerror(code));
        curl_multi_remove_handle(b->multi, i->easy);
        i->busy = false;
        b->ended++;
        start_next(i);
    }
    if (b->ended == b->count)
        uv_stop(&b->loop);
}

/* --- libcurl and libuv ---------------------------------------------------------- */

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    struct bare *b = w->bare;
    int flags = 0, running;

    if (status < 0 || events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (status < 0 || events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(b->multi, w->fd, flags, &running);
    collect(b);
}

static void on_timer(uv_timer_t *timer)
{
    struct bare *b = timer->data;
    int running;

    curl_multi_socket_action(b->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(b);
}

static int on_timeout(CURLM *multi, long ms, void *ctx)
{
    struct bare *b = ctx;

    if (ms < 0)
        uv_timer_stop(&b->timer);
    else
        uv_timer_start(&b->timer, on_timer, (uint64_t)ms, 0);
    return 0;
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
                     void *per_socket)
{
    struct bare *b = ctx;
    struct watch *w = per_socket;
    int events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        }
        curl_multi_assign(b->multi, fd, NULL);
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof(*w));
        need(w && uv_poll_init_socket(&b->loop, &w->poll, fd) == 0,
             "watching a socket");
        w->bare = b;
        w->fd = fd;
        w->poll.data = w;
        curl_multi_assign(b->multi, fd, w);
    }
    if (what & CURL_POLL_IN)
        events |= UV_READABLE;
    if (what & CURL_POLL_OUT)
        events |= UV_WRITABLE;
    uv_poll_start(&w->poll, events, on_ready);
    return 0;
}

/* --- all of it ------------------------------------------------------------------- */

static uint64_t number(const char *text)
{
    char *end;
    uint64_t n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-')
        die("no number: %s", text);
    return n;
}

static void parse(struct bare *b, int argc, char **argv)
{
    uint64_t random = 88172645463325252u;

    if (argc < 4)
        die("usage: bare get PARALLEL URL... | put PARALLEL BYTES PART URL");
    b->put = strcmp(argv[1], "put") == 0;
    if ((!b->put && strcmp(argv[1], "get") != 0) || (b->put && argc != 6))
        die("usage: bare get PARALLEL URL... | put PARALLEL BYTES PART URL");
    b->parallel = (unsigned)number(argv[2]);
    if (b->parallel < 1 || b->parallel > sizeof(b->item) / sizeof(b->item[0]))
        die("1 to 64 in parallel");
    if (!b->put) {
        b->urls = argv + 3;
        b->count = (uint64_t)argc - 3;
        return;
    }
    b->total = number(argv[3]);
    b->part = number(argv[4]);
    b->prefix = argv[5];
    if (b->part < 8 || b->part > (64u << 20))
        die("a part is 8 bytes to 64 MiB");
    b->count = (b->total + b->part - 1) / b->part;
    b->data = malloc(b->part);
    b->headers = curl_slist_append(NULL, "Expect:");
    need(b->data && b->headers, "memory");
    for (uint64_t i = 0; i + 8 <= b->part; i += 8) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        memcpy(b->data + i, &random, 8);
    }
}

static void set_up(struct bare *b)
{
    need(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "libcurl");
    need(uv_loop_init(&b->loop) == 0, "libuv");
    uv_timer_init(&b->loop, &b->timer);
    b->timer.data = b;
    b->multi = curl_multi_init();
    need(b->multi, "libcurl");
    curl_multi_setopt(b->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(b->multi, CURLMOPT_SOCKETDATA, b);
    curl_multi_setopt(b->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(b->multi, CURLMOPT_TIMERDATA, b);
}

static void tear_down(struct bare *b)
{
    for (unsigned i = 0; i < b->parallel; i++) {
        curl_easy_cleanup(b->item[i].easy);
        free(b->item[i].url);
    }
    curl_multi_cleanup(b->multi);
    uv_close((uv_handle_t *)&b->timer, NULL);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    uv_loop_close(&b->loop);
    curl_slist_free_all(b->headers);
    free(b->data);
    free(b);
    curl_global_cleanup();
}

int main(int argc, char **argv)
{
    struct bare *b = calloc(1, sizeof(*b));
    struct rusage before, after;
    uint64_t began;

    need(b != NULL, "memory");
    parse(b, argc, argv);
    set_up(b);
    getrusage(RUSAGE_SELF, &before);
    began = uv_hrtime();
    for (unsigned i = 0; i < b->parallel; i++) {
        b->item[i].bare = b;
        start_next(&b->item[i]);
    }
    if (b->count)
        uv_run(&b->loop, UV_RUN_DEFAULT);
    getrusage(RUSAGE_SELF, &after);
    printf("{\"transfers\": %" PRIu64 ", \"bytes\": %" PRIu64
           ", \"wall_s\": %.6f, \"cpu_user_s\": %.6f, \"cpu_system_s\": "
           "%.6f, \"cpu_s\": %.6f}\n",
           b->ended, b->bytes, (double)(uv_hrtime() - began) / 1e9,
           cpu_of(&after.ru_utime) - cpu_of(&before.ru_utime),
           cpu_of(&after.ru_stime) - cpu_of(&before.ru_stime),
           cpu_of(&after.ru_utime) - cpu_of(&before.ru_utime) +
               cpu_of(&after.ru_stime) - cpu_of(&before.ru_stime));
    tear_down(b);
    return 0;
}
