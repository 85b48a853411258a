/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_tls_ctx.h - the inner side of net/http_tls.h, for the HTTP client:
 * a trust is put into OpenSSL. Only net/ includes this.
 */
#ifndef CAIRN_NET_HTTP_TLS_CTX_H
#define CAIRN_NET_HTTP_TLS_CTX_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "net/http_tls.h"

/* Make a client's context believe `t` alone. `t` must outlive the context, and
 * its connections: they may shake hands again.
 * False: out of memory, nothing may be sent over this context. Its connections
 * read ahead: see http_trust_holds_more(). */
bool http_trust_apply(struct http_trust *t, SSL_CTX *ctx);

/* Whether a connection has bytes that the socket will not tell of any more:
 * there are some, and the last read did not end for want of further ones. */
bool http_trust_holds_more(const SSL *ssl);

/* Whether the host name has to be compared with the certificate too. */
bool http_trust_checks_name(const struct http_trust *t);

/* Whether two trusts believe the same, so that a connection which one of them
 * verified may serve the other. A trust that shows is like itself alone. */
bool http_trust_same(const struct http_trust *a, const struct http_trust *b);

/* What to say of a handshake that failed and left this verdict over the
 * certificate (SSL_get_verify_result); NULL: it was not we who refused one, or
 * OpenSSL's own words are better. */
const char *http_trust_refusal(const struct http_trust *t, long verdict);

#endif
