/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/seal_slot.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/seal_cipher.h"
#include "crypto/seal_digest.h"
#include "crypto/seal_hmac.h"
#include "crypto/seal_internal.h"

/* Where the fields of a pack's header lie. */
enum {
    AT_VERSION = 8,
    AT_SUITE = 9,
    AT_KIND = 10,
    AT_KEY_ID = 12,
    AT_PACK_ID = 28,
    AT_SALT = 44,
    AT_COMMITMENT = 60,
    AT_CRC = 92,
};

static const uint8_t magic[8] = "CAIRNPK1";

struct seal_slot_work {
    struct seal_cipher *cipher;
    struct seal_hmac *hmac;
    bool keyed; /* hmac has k_id */
    struct seal_key k_id;
};

struct seal_slot_work *seal_slot_work_new(const struct seal_suite *suite)
{
    struct seal_slot_work *work = calloc(1, sizeof(*work));

    if (!work)
        return NULL;
    work->cipher = seal_cipher_new(suite);
    work->hmac = seal_hmac_new(suite);
    if (!work->cipher || !work->hmac) {
        seal_slot_work_free(work);
        return NULL;
    }
    return work;
}

void seal_slot_work_free(struct seal_slot_work *work)
{
    if (!work)
        return;
    seal_cipher_free(work->cipher);
    seal_hmac_free(work->hmac);
    bytes_wipe(work, sizeof(*work));
    free(work);
}

bool seal_slot_chunk_id(struct seal_slot_work *work,
                        const struct seal_key *k_id, enum seal_slot_kind kind,
                        const void *raw, size_t len, struct id16 *out)
{
    uint8_t kind_byte = (uint8_t)kind, mac[32];

    if (!work->keyed ||
        !bytes_equal_ct(work->k_id.b, k_id->b, sizeof(k_id->b))) {
        seal_hmac_key(work->hmac, k_id->b, sizeof(k_id->b));
        work->k_id = *k_id;
        work->keyed = true;
    }
    seal_hmac_begin(work->hmac);
    seal_hmac_add(work->hmac, &kind_byte, 1);
    seal_hmac_add(work->hmac, raw, len);
    if (!seal_hmac_end(work->hmac, mac)) {
        work->keyed = false;
        return false;
    }
    memcpy(out->b, mac, sizeof(out->b));
    return true;
}

enum err_code seal_slot_header_new(enum seal_slot_kind kind,
                                   const struct id16 *key_id,
                                   struct seal_slot_header *out,
                                   struct err *err)
{
    struct seal_slot_header header = {.kind = kind, .key_id = *key_id};
    enum err_code rc;

    rc = seal_key_random(header.pack_id.b, sizeof(header.pack_id.b), err);
    if (rc == ERR_OK)
        rc = seal_key_random(header.salt, sizeof(header.salt), err);
    if (rc == ERR_OK)
        *out = header;
    return rc;
}

/* K_pack and commitment from the first 60 bytes. */
static enum err_code derive(const struct seal_suite *suite,
                            const struct seal_key *key,
                            const struct id16 *vault_id, const uint8_t *raw,
                            struct seal_key *k_pack, uint8_t commitment[32],
                            struct err *err)
{
    uint8_t info[SEAL_LABEL + 16 + AT_COMMITMENT];
    uint8_t okm[64];
    enum err_code rc;

    seal_internal_label(info, raw[AT_KIND] == SEAL_SLOT_MAP ? "cairn map 1"
                                                            : "cairn pack 1");
    memcpy(info + SEAL_LABEL, vault_id->b, 16);
    memcpy(info + SEAL_LABEL + 16, raw, AT_COMMITMENT);
    rc = seal_key_hkdf(suite, (struct slice){key->b, sizeof(key->b)},
                       (struct slice){raw + AT_SALT, 16},
                       (struct slice){info, sizeof(info)}, okm, sizeof(okm),
                       err);
    memcpy(k_pack->b, okm, 32);
    memcpy(commitment, okm + 32, 32);
    bytes_wipe(okm, sizeof(okm));
    return rc;
}

enum err_code seal_slot_header_write(const struct seal_suite *suite,
                                     const struct seal_key *key,
                                     const struct id16 *vault_id,
                                     const struct seal_slot_header *header,
                                     uint8_t out[SEAL_SLOT_HEADER],
                                     struct seal_key *k_pack, struct err *err)
{
    enum err_code rc;

    memcpy(out, magic, sizeof(magic));
    out[AT_VERSION] = SEAL_VERSION;
    out[AT_SUITE] = SEAL_SUITE;
    bytes_put_u16(out + AT_KIND, (uint16_t)header->kind);
    memcpy(out + AT_KEY_ID, header->key_id.b, 16);
    memcpy(out + AT_PACK_ID, header->pack_id.b, 16);
    memcpy(out + AT_SALT, header->salt, 16);
    rc = derive(suite, key, vault_id, out, k_pack, out + AT_COMMITMENT, err);
    if (rc == ERR_OK)
        bytes_put_u32(out + AT_CRC, seal_digest_crc32c(0, out, AT_CRC));
    return rc;
}

enum err_code seal_slot_header_parse(const uint8_t raw[SEAL_SLOT_HEADER],
                                     struct seal_slot_header *out,
                                     struct err *err)
{
    if (memcmp(raw, magic, sizeof(magic)) != 0)
        return err_set(err, ERR_INTEGRITY, 0, "header: no pack");
    if (raw[AT_VERSION] != SEAL_VERSION)
        return err_set(err, ERR_INTEGRITY, 0, "header: unknown version %u",
                       raw[AT_VERSION]);
    if (raw[AT_SUITE] != SEAL_SUITE)
        return err_set(err, ERR_INTEGRITY, 0, "header: unknown suite %u",
                       raw[AT_SUITE]);
    if (bytes_get_u16(raw + AT_KIND) > SEAL_SLOT_MAP)
        return err_set(err, ERR_INTEGRITY, 0, "header: unknown kind %u",
                       bytes_get_u16(raw + AT_KIND));
    if (bytes_get_u32(raw + AT_CRC) != seal_digest_crc32c(0, raw, AT_CRC))
        return err_set(err, ERR_INTEGRITY, 0, "header: its CRC is wrong");
    out->kind = raw[AT_KIND];
    memcpy(out->key_id.b, raw + AT_KEY_ID, 16);
    memcpy(out->pack_id.b, raw + AT_PACK_ID, 16);
    memcpy(out->salt, raw + AT_SALT, 16);
    return ERR_OK;
}

enum err_code seal_slot_header_open(const struct seal_suite *suite,
                                    const struct seal_key *key,
                                    const struct id16 *vault_id,
                                    const uint8_t raw[SEAL_SLOT_HEADER],
                                    struct seal_slot_header *out,
                                    struct seal_key *k_pack, struct err *err)
{
    struct seal_slot_header header;
    struct seal_key derived = {0};
    uint8_t commitment[32];
    enum err_code rc;

    rc = seal_slot_header_parse(raw, &header, err);
    if (rc == ERR_OK)
        rc = derive(suite, key, vault_id, raw, &derived, commitment, err);
    if (rc == ERR_OK && !bytes_equal_ct(commitment, raw + AT_COMMITMENT, 32))
        rc = err_set(err, ERR_INTEGRITY, 0,
                     "header: its commitment is wrong (another vault, key or "
                     "damage)");
    if (rc == ERR_OK) {
        *out = header;
        *k_pack = derived;
    }
    seal_key_fini(&derived);
    return rc;
}

static void put_nonce(const struct seal_slot_place *place,
                      uint8_t nonce[SEAL_CIPHER_NONCE], uint8_t aad[5])
{
    bytes_put_u32(nonce, place->slot);
    memcpy(nonce + 4, place->chunk_id.b, 8);
    aad[0] = place->codec;
    bytes_put_u32(aad + 1, place->raw_len);
}

bool seal_slot_seal(struct seal_slot_work *work, const struct seal_key *k_pack,
                    const struct seal_slot_place *place, const void *body,
                    size_t len, uint8_t *out)
{
    uint8_t nonce[SEAL_CIPHER_NONCE], aad[5];

    put_nonce(place, nonce, aad);
    return seal_cipher_seal(work->cipher, k_pack, nonce,
                            (struct slice){aad, sizeof(aad)},
                            (struct slice){body, len}, out);
}

bool seal_slot_open(struct seal_slot_work *work, const struct seal_key *k_pack,
                    const struct seal_slot_place *place, const void *sealed,
                    size_t len, uint8_t *out)
{
    uint8_t nonce[SEAL_CIPHER_NONCE], aad[5];

    put_nonce(place, nonce, aad);
    return seal_cipher_open(work->cipher, k_pack, nonce,
                            (struct slice){aad, sizeof(aad)},
                            (struct slice){sealed, len}, out);
}
