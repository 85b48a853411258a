/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_tls_pair.h - a server's certificate and its key, looked at before
 * anything is served with them.
 */
#ifndef CAIRN_NET_HTTP_TLS_PAIR_H
#define CAIRN_NET_HTTP_TLS_PAIR_H

#include "base/err.h"

/* Is there a certificate in this PEM text, first of those that lead to the CA?
 * ERR_ARGUMENT, ERR_NOMEM. */
enum err_code http_tls_pair_cert(const char *pem, struct err *err);

/* Is there a private key in this PEM text, without a password, that belongs to
 * the first certificate of the other? ERR_ARGUMENT, ERR_NOMEM. */
enum err_code http_tls_pair_key(const char *pem, const char *cert_pem,
                                struct err *err);

#endif
