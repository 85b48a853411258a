/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image/xva_parse.h - the archive inside an XVA: entries, blocks, checksums.
 * Used by image/xva_read.c alone, which adds compression and what XAPI writes
 * behind a stream that it breaks off.
 */
#ifndef CAIRN_IMAGE_XVA_PARSE_H
#define CAIRN_IMAGE_XVA_PARSE_H

#include "image/xva_read.h"

struct xva_parse;

/* opts: as xva_read_new(). ERR_NOMEM. */
enum err_code xva_parse_new(const struct xva_read_opts *opts,
                            struct xva_parse **out, struct err *err);
void xva_parse_free(struct xva_parse *p);

/* As xva_read_feed(); after an error it is not called again. */
enum err_code xva_parse_feed(struct xva_parse *p, const uint8_t *data,
                             size_t len, size_t *used, struct err *err);
bool xva_parse_is_blocked(const struct xva_parse *p);

/* The bytes have ended. ERR_OK, or ERR_IO: what is missing. */
enum err_code xva_parse_finish(const struct xva_parse *p, struct err *err);

const struct ova *xva_parse_ova(const struct xva_parse *p);
uint64_t xva_parse_position(const struct xva_parse *p);

#endif
