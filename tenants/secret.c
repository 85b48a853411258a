/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/secret.h"

#include <string.h>

#include "base/bytes.h"
#include "crypto/seal_digest.h"
#include "crypto/seal_key.h"

static const char prefix[] = "cairn-";
#define PREFIX_LEN (sizeof(prefix) - 1)

enum err_code secret_token_make(const struct seal_suite *suite,
                                char token[SECRET_TOKEN_TEXT],
                                uint8_t hash[32], struct err *err)
{
    uint8_t raw[32];
    enum err_code rc = seal_key_random(raw, sizeof(raw), err);

    if (rc != ERR_OK)
        return rc;
    if (!seal_digest_once(suite, SEAL_DIGEST_SHA256, raw, sizeof(raw), hash)) {
        rc = err_set(err, ERR_NOMEM, 0, "token");
        goto out;
    }
    memcpy(token, prefix, PREFIX_LEN);
    bytes_hex(raw, sizeof(raw), token + PREFIX_LEN);
out:
    bytes_wipe(raw, sizeof(raw));
    return rc;
}

bool secret_token_hash(const struct seal_suite *suite, const char *token,
                       uint8_t hash[32])
{
    uint8_t raw[32];
    bool ok;

    if (strncmp(token, prefix, PREFIX_LEN) != 0)
        return false;
    ok = bytes_unhex(token + PREFIX_LEN, raw, sizeof(raw)) &&
         seal_digest_once(suite, SEAL_DIGEST_SHA256, raw, sizeof(raw), hash);
    bytes_wipe(raw, sizeof(raw));
    return ok;
}
