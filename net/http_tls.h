/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_tls.h - whom a TLS client believes: a CA bundle, or the SHA-256 of
 * one host's leaf certificate.
 *
 * A trust is immutable once made and may be shared by threads; it is counted.
 */
#ifndef CAIRN_NET_HTTP_TLS_H
#define CAIRN_NET_HTTP_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct http_trust;

/* The system's CAs (chain and host name are checked). ERR_NOMEM, ERR_IO. */
enum err_code http_trust_system(struct http_trust **out, struct err *err);

/* CAs from PEM text (chain and host name are checked). ERR_ARGUMENT: no
 * certificate in it; ERR_NOMEM. */
enum err_code http_trust_ca(const char *pem, struct http_trust **out,
                            struct err *err);

/* Exactly the leaf certificate whose SHA-256 over its DER form this is;
 * neither chain nor name nor dates are looked at (XAPI's are self-signed). */
enum err_code http_trust_pin(const uint8_t sha256[32], struct http_trust **out,
                             struct err *err);

/* Nothing is believed, and what was shown is noted: for the fingerprint that
 * a person is asked to confirm. The handshake fails always. */
enum err_code http_trust_show(struct http_trust **out, struct err *err);
/* The SHA-256 of the last leaf seen by a trust of http_trust_show(). */
bool http_trust_seen(const struct http_trust *t, uint8_t sha256[32]);

/* "AA:BB:...", "aabb...", with or without "sha256:" in front. */
bool http_trust_parse_pin(const char *text, uint8_t sha256[32]);

struct http_trust *http_trust_hold(struct http_trust *t);
void http_trust_drop(struct http_trust *t);

#endif
