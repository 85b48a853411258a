/* SPDX-License-Identifier: Apache-2.0 */
/* tests/unit/xva_zstd.h - archives as a pool compresses them; behind cmocka's
 * headers. */
#ifndef CAIRN_TESTS_XVA_ZSTD_H
#define CAIRN_TESTS_XVA_ZSTD_H

#include <stdlib.h>

#include <zstd.h>

#include "base/buf.h"

/* In one piece; `to` is made. */
static inline void build_zstd(const struct buf *from, struct buf *to)
{
    size_t bound = ZSTD_compressBound(from->len), n;
    void *out = malloc(bound);

    n = ZSTD_compress(out, bound, from->data, from->len, 1);
    assert_false(ZSTD_isError(n));
    buf_init(to, bound);
    assert_true(buf_add(to, out, n));
    free(out);
}

/* As the program zstd does with a pipe: the last frame's end comes for itself,
 * with the checksum. */
static inline void build_zstd_piped(const struct buf *from, struct buf *to)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    size_t step = ZSTD_CStreamInSize(), left = 1;
    uint8_t *out = malloc(ZSTD_CStreamOutSize());

    buf_init(to, ZSTD_compressBound(from->len) + 4096);
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    for (size_t at = 0; left; at += step) {
        size_t n = at < from->len ? from->len - at : 0;
        ZSTD_EndDirective how = n ? ZSTD_e_continue : ZSTD_e_end;
        ZSTD_inBuffer in = {from->data + (n ? at : 0), n < step ? n : step, 0};

        do {
            ZSTD_outBuffer o = {out, ZSTD_CStreamOutSize(), 0};

            left = ZSTD_compressStream2(c, &o, &in, how);
            assert_false(ZSTD_isError(left));
            assert_true(buf_add(to, out, o.pos));
        } while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
        left = how != ZSTD_e_end;
    }
    free(out);
    ZSTD_freeCCtx(c);
}

#endif
