/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keyring.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NO_CURRENT ((size_t)-1)

/* The keys of one role, in rising order of id. */
struct keys {
    struct keyring_key *key;
    size_t count, room;
    size_t current; /* index; NO_CURRENT */
};

struct keyring {
    atomic_uint references;
    const struct seal_suite *suite;
    struct seal_key rs, k_id, k_name;
    struct id16 vault_id;
    struct keys keys[2]; /* by enum seal_key_role */
};

enum err_code keyring_new(const struct seal_suite *suite,
                          const struct seal_key *rs, struct keyring **out,
                          struct err *err)
{
    struct keyring *k = calloc(1, sizeof(*k));

    if (!k)
        return err_set(err, ERR_NOMEM, 0, "keyring");
    atomic_init(&k->references, 1);
    k->suite = suite;
    k->rs = *rs;
    k->keys[0].current = k->keys[1].current = NO_CURRENT;
    if (seal_key_vault_id(suite, rs, &k->vault_id, err) != ERR_OK ||
        seal_key_for_ids(suite, rs, &k->k_id, err) != ERR_OK ||
        seal_key_for_names(suite, rs, &k->k_name, err) != ERR_OK) {
        keyring_unref(k);
        return ERR_NOMEM;
    }
    *out = k;
    return ERR_OK;
}

enum err_code keyring_copy(const struct keyring *from, struct keyring **out,
                           struct err *err)
{
    struct keyring *k = NULL;
    enum err_code rc = keyring_new(from->suite, &from->rs, &k, err);

    for (int role = 0; rc == ERR_OK && role < 2; role++)
        for (size_t i = 0; rc == ERR_OK && i < from->keys[role].count; i++)
            rc = keyring_add(k, (enum seal_key_role)role,
                             &from->keys[role].key[i].secret,
                             from->keys[role].current == i, err);
    if (rc != ERR_OK) {
        keyring_unref(k);
        return rc;
    }
    *out = k;
    return ERR_OK;
}

/* Where an id is or belongs. */
static size_t place_of(const struct keys *keys, const struct id16 *id,
                       bool *there)
{
    size_t low = 0, high = keys->count;

    *there = false;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = memcmp(keys->key[mid].id.b, id->b, sizeof(id->b));

        if (order == 0) {
            *there = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Room for one more; not by realloc, which leaves secrets behind. */
static bool make_room(struct keys *keys)
{
    size_t room = keys->room ? 2 * keys->room : 4;
    struct keyring_key *more;

    if (keys->count < keys->room)
        return true;
    more = calloc(room, sizeof(*more));
    if (!more)
        return false;
    if (keys->key)
        memcpy(more, keys->key, keys->count * sizeof(*more));
    bytes_wipe(keys->key, keys->count * sizeof(*more));
    free(keys->key);
    keys->key = more;
    keys->room = room;
    return true;
}

enum err_code keyring_add(struct keyring *k, enum seal_key_role role,
                          const struct seal_key *secret, bool current,
                          struct err *err)
{
    struct keys *keys = &k->keys[role];
    struct keyring_key key = {.secret = *secret};
    enum err_code rc;
    bool there;
    size_t at;

    rc =
        seal_key_derive(k->suite, &k->rs, role, secret, &key.id, &key.key, err);
    if (rc != ERR_OK)
        goto out;
    at = place_of(keys, &key.id, &there);
    if (!there) {
        if (!make_room(keys)) {
            rc = err_set(err, ERR_NOMEM, 0, "keyring");
            goto out;
        }
        assert(keys->key); /* room was made */
        memmove(keys->key + at + 1, keys->key + at,
                (keys->count - at) * sizeof(*keys->key));
        keys->key[at] = key;
        keys->count++;
        if (keys->current != NO_CURRENT && keys->current >= at)
            keys->current++;
    }
    if (current)
        keys->current = at;
out:
    bytes_wipe(&key, sizeof(key));
    return rc;
}

struct keyring *keyring_ref(struct keyring *k)
{
    if (k)
        atomic_fetch_add(&k->references, 1);
    return k;
}

void keyring_unref(struct keyring *k)
{
    if (!k || atomic_fetch_sub(&k->references, 1) > 1)
        return;
    for (int role = 0; role < 2; role++) {
        bytes_wipe(k->keys[role].key,
                   k->keys[role].room * sizeof(struct keyring_key));
        free(k->keys[role].key);
    }
    bytes_wipe(k, sizeof(*k));
    free(k);
}

const struct seal_suite *keyring_suite(const struct keyring *k)
{
    return k->suite;
}

const struct id16 *keyring_vault_id(const struct keyring *k)
{
    return &k->vault_id;
}

const struct seal_key *keyring_rs(const struct keyring *k)
{
    return &k->rs;
}

const struct seal_key *keyring_k_id(const struct keyring *k)
{
    return &k->k_id;
}

enum err_code keyring_vm_tag(const struct keyring *k, const char *series,
                             struct id16 *out, struct err *err)
{
    return seal_key_vm_tag(k->suite, &k->k_name, series, out, err);
}

const struct keyring_key *keyring_current(const struct keyring *k,
                                          enum seal_key_role role)
{
    const struct keys *keys = &k->keys[role];

    return keys->current == NO_CURRENT ? NULL : &keys->key[keys->current];
}

const struct keyring_key *keyring_find(const struct keyring *k,
                                       enum seal_key_role role,
                                       const struct id16 *id)
{
    bool there;
    size_t at = place_of(&k->keys[role], id, &there);

    return there ? &k->keys[role].key[at] : NULL;
}

size_t keyring_count(const struct keyring *k, enum seal_key_role role)
{
    return k->keys[role].count;
}

const struct keyring_key *keyring_at(const struct keyring *k,
                                     enum seal_key_role role, size_t i)
{
    return &k->keys[role].key[i];
}

/* --- joining --------------------------------------------------------------- */

static enum err_code join(struct keyring *k, const struct keyring *from,
                          enum seal_key_role role, size_t *added,
                          struct err *err)
{
    for (size_t i = 0; i < keyring_count(from, role); i++) {
        const struct keyring_key *key = keyring_at(from, role, i);

        if (keyring_find(k, role, &key->id))
            continue;
        if (keyring_add(k, role, &key->secret, false, err) != ERR_OK)
            return err->code;
        ++*added;
    }
    return ERR_OK;
}

enum err_code keyring_join(struct keyring *k, const struct keyring *from,
                           size_t *added, struct err *err)
{
    if (join(k, from, SEAL_KEY_META, added, err) != ERR_OK)
        return err->code;
    return join(k, from, SEAL_KEY_DATA, added, err);
}
