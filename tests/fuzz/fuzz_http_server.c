/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes to the HTTP server, in pieces whose sizes the input chooses; the
 * client may go away with its answer half read. Each call is told once, and
 * its end once.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/http_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BODY_MAX 1000

static struct loop *loop;
static struct http_server *server;
static struct sockaddr_un place = {.sun_family = AF_UNIX};
static unsigned open_calls;
static unsigned lent; /* pieces */
static struct http_call *later; /* to be answered in a later turn */

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void on_back(struct http_piece *piece)
{
    lent--;
    free(piece);
}

static void lend(struct http_call *c, const void *data, size_t len)
{
    struct http_piece *piece = malloc(sizeof(*piece));

    require(piece != NULL);
    *piece = (struct http_piece){data, len, on_back, NULL};
    if (http_call_lend(c, piece))
        lent++;
    else
        free(piece);
}

static void on_call(void *ctx, struct http_call *c)
{
    static const char piece[5000];
    size_t len;

    (void)ctx;
    (void)http_call_body(c, &len);
    require(len <= BODY_MAX && http_call_path(c)[0] == '/');
    (void)http_call_header(c, "host");
    open_calls++;
    switch (strlen(http_call_path(c)) % 4) {
    case 0:
        http_call_answer(c, 200, NULL, 0, piece, 7);
        break;
    case 1:
        if (!later) {
            later = c;
            break;
        }
        http_call_answer(c, 204, NULL, 0, NULL, 0);
        break;
    default:
        http_call_stream(c, 200, NULL, 0, len % 2 ? -1 : 20000);
        for (int i = 0; i < 4; i++)
            lend(c, piece, sizeof(piece));
        http_call_end(c, len % 3 != 0);
        break;
    }
}

static void on_gone(void *ctx, struct http_call *c, bool complete)
{
    (void)ctx;
    (void)complete;
    if (later == c)
        later = NULL;
    require(open_calls-- > 0);
}

static void answer_later(void)
{
    struct http_call *c = later;

    later = NULL;
    if (c)
        http_call_answer(c, 200, NULL, 0, "late", 4);
}

static void start(void)
{
    struct http_server_opts opts = {.unix_path = place.sun_path,
                                    .body_max = BODY_MAX,
                                    .connections_max = 100,
                                    .idle_ms = 60000,
                                    .on_call = on_call,
                                    .on_gone = on_gone};
    struct err err = {0};

    snprintf(place.sun_path, sizeof(place.sun_path), "/tmp/cairn-fuzz-%d.sock",
             (int)getpid());
    require(http_client_setup(&err) == ERR_OK);
    require(loop_new("fuzz", NULL, &loop, &err) == ERR_OK);
    require(http_server_new(loop, &opts, &server, &err) == ERR_OK);
}

static void stop(void)
{
    http_server_free(server);
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    loop_free(loop);
}

static void turn(unsigned n)
{
    while (n-- > 0)
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned step = size > 0 ? data[0] % 64 * 8 + 1 : 1;
    bool reads = size > 0 && data[0] & 64;
    char drop[65536];
    int fd;

    if (!loop) {
        start();
        atexit(stop);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    require(connect(fd, (struct sockaddr *)&place, sizeof(place)) == 0);
    for (size_t at = 1; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;

        if (send(fd, data + at, n, MSG_NOSIGNAL) <= 0)
            break;
        turn(2);
        while (reads && recv(fd, drop, sizeof(drop), 0) > 0)
            ;
    }
    turn(2);
    answer_later();
    turn(2);
    close(fd);
    /* Every call ends when its client is gone; and in the kernel's buffer there
     * may be many. */
    for (int i = 0; i < 10000 && (i < 4 || open_calls > 0); i++) {
        answer_later();
        turn(1);
    }
    require(open_calls == 0 && lent == 0);
    return 0;
}
