/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_route.h - the hosts of a pool: where each is reached and whom
 * to trust there. Used inside this room.
 *
 * A route is immutable and counted; any thread may use one. What the session
 * learns about members makes a new one.
 */
#ifndef CAIRN_XENAPI_XENAPI_ROUTE_H
#define CAIRN_XENAPI_XENAPI_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "net/http_tls.h"
#include "xenapi/xenapi_session.h"

struct xenapi_route;

#define XENAPI_ROUTE_HOST 256 /* longest name or address, with the NUL */
/* CURLE_PEER_FAILED_VERIFICATION, as net/ hands it on in an error's detail:
 * waiting does not help. */
#define XENAPI_ROUTE_NOT_TRUSTED 60
#define XENAPI_ROUTE_AUTHORITY (XENAPI_ROUTE_HOST + 16)

/* "name", "10.0.0.1:443", "[::1]:443", "::1": the host without brackets, and
 * the port (0: none was given). False: it is none. */
bool xenapi_route_split(const char *text, char host[XENAPI_ROUTE_HOST],
                        unsigned *port);

/* Where a Location header leads, for xenapi_route_split(): what lies between
 * "://", if there is one, and the path. False: nowhere, or it is too long. */
bool xenapi_route_location(const char *location,
                           char authority[XENAPI_ROUTE_AUTHORITY]);

/* How to reach one host; borrowed from the route. */
struct xenapi_place {
    char origin[XENAPI_ROUTE_HOST + 32]; /* "https://[::1]:443" */
    const char *connect_to;   /* for http_transfer_opts; NULL */
    struct http_trust *trust; /* NULL: plain */
};

/* From the options of a session. ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_route_new(const struct xenapi_session_opts *opts,
                               struct xenapi_route **out, struct err *err);

struct xenapi_member {
    const char *uuid, *address;
};

/* The same, knowing these members too. NULL: out of memory. */
struct xenapi_route *xenapi_route_learn(const struct xenapi_route *from,
                                        const struct xenapi_member *members,
                                        size_t count);

struct xenapi_route *xenapi_route_hold(struct xenapi_route *r);
void xenapi_route_drop(struct xenapi_route *r);

/* The host that was given, as it was spelt but for its port. */
const char *xenapi_route_given(const struct xenapi_route *r);

/* Addresses to try when the coordinator is away: the given host first. NULL
 * past the last. */
const char *xenapi_route_candidate(const struct xenapi_route *r, size_t i);

/* Whether this is the given host, a peer or a member. */
bool xenapi_route_knows(const struct xenapi_route *r, const char *host);

/* port 0: the pool's. ERR_UNREACHABLE: no certificate of that host has been
 * accepted; ERR_PROTOCOL: that is no host. */
enum err_code xenapi_route_place(const struct xenapi_route *r,
                                 const char *host, unsigned port,
                                 struct xenapi_place *out, struct err *err);

#endif
