/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/net_site.h - a server that does as the path of a request says
 * (/later, /never, /stream, /sized, /short; else it tells back what it was
 * asked), and a client on the same loop.
 */
#ifndef CAIRN_TESTS_NET_SITE_H
#define CAIRN_TESTS_NET_SITE_H

#include "net/http_server.h"
#include "tests/unit/net_rig.h"

#define BODY_MAX 10000

struct site {
    struct rig rig;
    struct http_server *server;
    char path[40];
    unsigned calls, gone, complete;
    struct http_call *waiting; /* of /later and /never */
    struct timer later;
    struct rig_call call;
    struct http_call *stream; /* of /stream and /sized */
    uint64_t stream_bytes, written;
    struct http_piece piece; /* lent to `stream` */
    uint8_t bytes[100000];
    bool lent;
    bool stream_fails; /* ends as a failure */
    bool stop_after_gone;
};

void site_open(struct site *s);
void site_close(struct site *s);
struct http_server_opts site_opts(struct site *s);
/* Options of a transfer to the site's socket. */
struct http_transfer_opts site_ask_opts(struct site *s, struct rig_call *c,
                                        const char *method, const char *url);
/* GET and run to the end. */
void site_ask(struct site *s, const char *url);
void site_answer(struct http_call *c, int status, const char *text);
/* What /stream sends at this place. */
uint8_t site_byte(uint64_t offset);

#endif
