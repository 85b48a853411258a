/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_probe.h - which certificate a host shows, for a person to
 * confirm. Nothing is sent but the TLS handshake. One loop's thread.
 */
#ifndef CAIRN_XENAPI_XENAPI_PROBE_H
#define CAIRN_XENAPI_XENAPI_PROBE_H

#include <stdint.h>

#include "base/err.h"
#include "net/http_client.h"

struct xenapi_probe;

/* sha256: of the leaf certificate, 32 bytes; NULL when *err is not ERR_OK:
 * ERR_UNREACHABLE, ERR_TIMEOUT, ERR_CANCELLED, ERR_PROTOCOL (no TLS there). */
typedef void xenapi_probe_done_fn(void *ctx, const struct err *err,
                                  const uint8_t *sha256);

struct xenapi_probe_opts {
    struct http_client *client;
    const char *host;    /* as in xenapi_session_opts */
    const char *connect; /* NULL: to `host` */
    uint64_t timeout_ms; /* 0: 10 s */
    xenapi_probe_done_fn *done; /* once, later */
    void *ctx;
};

/* ERR_ARGUMENT, ERR_NOMEM. */
enum err_code xenapi_probe_start(const struct xenapi_probe_opts *opts,
                                 struct xenapi_probe **out, struct err *err);
void xenapi_probe_cancel(struct xenapi_probe *p);

#endif
