/* SPDX-License-Identifier: Apache-2.0 */
#include "xenapi/xenapi_route.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

#define MEMBERS_MAX 256

struct peer {
    char *uuid, *address, *connect; /* each may be NULL */
    struct http_trust *trust;       /* NULL: the route's */
};

struct member {
    char *address;
    size_t peer; /* index; SIZE_MAX: nothing is known beforehand */
};

struct xenapi_route {
    atomic_uint count;
    char given[XENAPI_ROUTE_HOST];
    unsigned port;
    bool plain;
    struct http_trust *trust;
    struct peer *peers;
    size_t peer_count;
    struct member *members;
    size_t member_count;
};

static bool is_host(const char *text, size_t len)
{
    if (len == 0 || len >= XENAPI_ROUTE_HOST)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
            !(c >= 'A' && c <= 'Z') && !strchr(".-_:%", c))
            return false;
    }
    return true;
}

bool xenapi_route_split(const char *text, char host[XENAPI_ROUTE_HOST],
                        unsigned *port)
{
    const char *end, *rest;
    uint64_t n = 0;
    size_t len;

    if (text[0] == '[') {
        end = strchr(++text, ']');
        if (!end)
            return false;
        rest = end + 1;
    } else {
        end = strchr(text, ':');
        if (!end || strchr(end + 1, ':')) /* none, or IPv6 */
            end = text + strlen(text);
        rest = end;
    }
    len = (size_t)(end - text);
    if (!is_host(text, len) ||
        (*rest && (*rest != ':' || !parse_u64(rest + 1, 1, 65535, &n))))
        return false;
    memcpy(host, text, len);
    host[len] = 0;
    *port = (unsigned)n;
    return true;
}

bool xenapi_route_location(const char *location,
                           char authority[XENAPI_ROUTE_AUTHORITY])
{
    const char *start = strstr(location, "://");
    size_t len;

    start = start ? start + 3 : location;
    len = strcspn(start, "/?");
    if (len == 0 || len >= XENAPI_ROUTE_AUTHORITY)
        return false;
    memcpy(authority, start, len);
    authority[len] = 0;
    return true;
}

static char *copy_text(const char *text, bool *ok)
{
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        *ok = false;
    return copy;
}

static bool add_peer(struct xenapi_route *r, const char *uuid,
                     const char *address, const char *connect,
                     struct http_trust *trust)
{
    struct peer *p = &r->peers[r->peer_count++];
    char host[XENAPI_ROUTE_HOST];
    unsigned port;
    bool ok = true;

    p->uuid = copy_text(uuid, &ok);
    /* As typed it may have a port, which is the pool's, not the host's. */
    if (address && xenapi_route_split(address, host, &port))
        address = host;
    p->address = copy_text(address, &ok);
    p->connect = copy_text(connect, &ok);
    p->trust = trust ? http_trust_hold(trust) : NULL;
    return ok;
}

static struct xenapi_route *route_alloc(size_t peers)
{
    struct xenapi_route *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    atomic_init(&r->count, 1);
    r->peers = calloc(peers + 1, sizeof(*r->peers));
    if (!r->peers) {
        free(r);
        return NULL;
    }
    return r;
}

enum err_code xenapi_route_new(const struct xenapi_session_opts *opts,
                               struct xenapi_route **out, struct err *err)
{
    struct xenapi_route *r = route_alloc(opts->peer_count);

    if (!r)
        return err_set(err, ERR_NOMEM, 0, "pool %s", opts->name);
    r->plain = opts->plain;
    r->trust = opts->trust ? http_trust_hold(opts->trust) : NULL;
    if (!xenapi_route_split(opts->host, r->given, &r->port)) {
        xenapi_route_drop(r);
        return err_set(err, ERR_ARGUMENT, 0, "pool %s: \"%s\" is no host",
                       opts->name, opts->host);
    }
    if (r->port == 0)
        r->port = opts->plain ? 80 : 443;
    for (size_t i = 0; i < opts->peer_count; i++) {
        const struct xenapi_peer *p = &opts->peers[i];

        if (!add_peer(r, p->uuid, p->address, p->connect, p->trust)) {
            xenapi_route_drop(r);
            return err_set(err, ERR_NOMEM, 0, "pool %s", opts->name);
        }
    }
    *out = r;
    return ERR_OK;
}

static size_t peer_of(const struct xenapi_route *r,
                      const struct xenapi_member *m)
{
    for (size_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].uuid && strcasecmp(r->peers[i].uuid, m->uuid) == 0)
            return i;
    for (size_t i = 0; i < r->peer_count; i++)
        if (!r->peers[i].uuid && r->peers[i].address &&
            strcasecmp(r->peers[i].address, m->address) == 0)
            return i;
    return SIZE_MAX;
}

struct xenapi_route *xenapi_route_learn(const struct xenapi_route *from,
                                        const struct xenapi_member *members,
                                        size_t count)
{
    struct xenapi_route *r = route_alloc(from->peer_count);
    bool ok = r != NULL;

    if (!ok)
        return NULL;
    memcpy(r->given, from->given, sizeof(r->given));
    r->port = from->port;
    r->plain = from->plain;
    r->trust = from->trust ? http_trust_hold(from->trust) : NULL;
    for (size_t i = 0; i < from->peer_count && ok; i++)
        ok = add_peer(r, from->peers[i].uuid, from->peers[i].address,
                      from->peers[i].connect, from->peers[i].trust);
    r->members = calloc(count + 1, sizeof(*r->members));
    ok = ok && r->members;
    for (size_t i = 0; ok && i < count && i < MEMBERS_MAX; i++) {
        if (!is_host(members[i].address, strlen(members[i].address)))
            continue;
        r->members[r->member_count].address =
            copy_text(members[i].address, &ok);
        r->members[r->member_count++].peer = peer_of(r, &members[i]);
    }
    if (ok)
        return r;
    xenapi_route_drop(r);
    return NULL;
}

struct xenapi_route *xenapi_route_hold(struct xenapi_route *r)
{
    atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
    return r;
}

void xenapi_route_drop(struct xenapi_route *r)
{
    if (!r || atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < r->peer_count; i++) {
        free(r->peers[i].uuid);
        free(r->peers[i].address);
        free(r->peers[i].connect);
        http_trust_drop(r->peers[i].trust);
    }
    for (size_t i = 0; i < r->member_count; i++)
        free(r->members[i].address);
    free(r->members);
    free(r->peers);
    http_trust_drop(r->trust);
    free(r);
}

const char *xenapi_route_given(const struct xenapi_route *r)
{
    return r->given;
}

const char *xenapi_route_candidate(const struct xenapi_route *r, size_t i)
{
    if (i == 0)
        return r->given;
    return i <= r->member_count ? r->members[i - 1].address : NULL;
}

static const struct peer *find_peer(const struct xenapi_route *r,
                                    const char *host)
{
    for (size_t i = 0; i < r->member_count; i++)
        if (strcasecmp(r->members[i].address, host) == 0 &&
            r->members[i].peer != SIZE_MAX)
            return &r->peers[r->members[i].peer];
    for (size_t i = 0; i < r->peer_count; i++)
        if (r->peers[i].address && strcasecmp(r->peers[i].address, host) == 0)
            return &r->peers[i];
    return NULL;
}

bool xenapi_route_knows(const struct xenapi_route *r, const char *host)
{
    if (strcasecmp(r->given, host) == 0 || find_peer(r, host))
        return true;
    for (size_t i = 0; i < r->member_count; i++)
        if (strcasecmp(r->members[i].address, host) == 0)
            return true;
    return false;
}

enum err_code xenapi_route_place(const struct xenapi_route *r, const char *host,
                                 unsigned port, struct xenapi_place *out,
                                 struct err *err)
{
    const struct peer *peer = find_peer(r, host);
    bool six = strchr(host, ':') != NULL;

    if (!is_host(host, strlen(host)))
        return err_set(err, ERR_PROTOCOL, 0, "\"%s\" is no host", host);
    snprintf(out->origin, sizeof(out->origin), "%s://%s%s%s:%u",
             r->plain ? "http" : "https", six ? "[" : "", host, six ? "]" : "",
             port ? port : r->port);
    out->connect_to = peer ? peer->connect : NULL;
    out->trust = peer && peer->trust ? peer->trust : r->trust;
    if (r->plain)
        out->trust = NULL;
    else if (!out->trust)
        return err_set(err, ERR_UNREACHABLE, 0,
                       "host %s: no certificate of it has been accepted", host);
    return ERR_OK;
}
