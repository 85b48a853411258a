/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_session.h - the login to one pool, kept up while it is used.
 *
 * A session knows the pool's hosts, whom to trust at each, and which of them
 * is the coordinator; it logs in when the first call needs it, follows
 * HOST_IS_SLAVE, waits (within bounds) while a host boots, logs in anew when
 * the pool has forgotten the session, and asks the other known members when
 * the coordinator cannot be reached. A wrong password is sent once: from then
 * on every call fails at once with ERR_DENIED. One loop's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_SESSION_H
#define CAIRN_XENAPI_XENAPI_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "net/http_client.h"

struct xenapi_session;

/* What is known of one host beforehand. Found by uuid, else by address. */
struct xenapi_peer {
    const char *uuid;         /* NULL: not known */
    const char *address;      /* as XAPI names it, or as typed; NULL: unknown */
    const char *connect;      /* connect to this address (and ":port") instead;
                                 NULL: to `address` */
    struct http_trust *trust; /* held; NULL: that of the options */
};

/* Milliseconds; zero: the default. Tests set small ones. */
struct xenapi_timing {
    uint64_t connect;     /* 10 s: one host, with TLS */
    uint64_t answer;      /* 120 s: an RPC's first byte */
    uint64_t booting;     /* 5 min: HOST_STILL_BOOTING and unreachable members
                             are tried again so long, before a call fails;
                             disks in use, before they stay */
    uint64_t retry;       /* 5 s, and 1/60 of `booting` at most: between two
                             tries of anything */
    uint64_t event;       /* 30 s: one event.from */
    uint64_t poll;        /* 30 s, and 1/10 of `booting` at most: a watched task
                             is asked for by name */
    uint64_t verdict;     /* 2 min: a task's end after the end of its stream */
    uint64_t import_verdict; /* 30 min: the same of an import; and the whole of
                                a snapshot's, a removal's, a start's task */
    uint64_t first_byte;  /* 30 min: of an export, and of an import's answer */
    uint64_t stall;       /* 5 min: of a transfer, while it is not paused */
};

struct xenapi_session_opts {
    struct loop *loop;
    struct http_client *client; /* of `loop`; shared */
    struct lane *lane;      /* parses long answers; NULL: the loop does */
    const char *name;       /* the pool's, for error texts */
    const char *originator; /* distinctive: "cairn/" and the gateway's id */
    const char *host;       /* "10.0.0.11", "pool.example:8443", "[::1]" */
    bool plain;             /* http, not https: tests and port forwards */
    const char *user;
    const char *password;   /* copied, wiped with the session */
    const struct xenapi_peer *peers;
    size_t peer_count;
    struct http_trust *trust; /* of hosts without one of their own (a CA); held.
                                 NULL: such hosts are not spoken to */
    struct xenapi_timing timing;
};

/* Does not connect. All is copied. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_session_new(const struct xenapi_session_opts *opts,
                                 struct xenapi_session **out, struct err *err);

/*
 * Log out and go away. Operations still running end with ERR_CANCELLED first
 * (exports and imports whose transfer runs: once that was reported). closed()
 * comes once, later, a few seconds after that at most; then the session is
 * gone.
 */
void xenapi_session_close(struct xenapi_session *s, void (*closed)(void *ctx),
                          void *ctx);

const char *xenapi_session_name(const struct xenapi_session *s);
struct loop *xenapi_session_loop(const struct xenapi_session *s);

/* The host that answers as coordinator, or was given; borrowed till the next
 * call goes out. */
const char *xenapi_session_coordinator(const struct xenapi_session *s);

/* After a wrong password, or while calls wait: try anew with the next call. */
void xenapi_session_set_password(struct xenapi_session *s,
                                 const char *password);

/* How it stands, for status pages: ERR_OK while the last login or call met a
 * pool that answered; else the last failure. */
void xenapi_session_health(const struct xenapi_session *s, struct err *out);

#endif
