/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exit.h"

#include <stddef.h>

static const struct {
    enum exit_code code;
    const char *text;
} rows[] = {
    {EXIT_OK, "ok"},
    {EXIT_FAILED, "failed"},
    {EXIT_USAGE, "usage"},
    {EXIT_WARNINGS, "done, with warnings"},
    {EXIT_NOT_FOUND, "not found"},
    {EXIT_DENIED, "denied"},
    {EXIT_POLICY, "quota, policy or a missing mapping"},
    {EXIT_CONFLICT, "conflict, ambiguous or locked"},
    {EXIT_DAMAGE, "damage found"},
    {EXIT_COLD, "cold"},
    {EXIT_NO_VAULT, "no such vault"},
    {EXIT_KEY, "wrong or missing key"},
    {EXIT_POOL, "pool unreachable"},
    {EXIT_STORE, "store unreachable"},
    {EXIT_AGAIN, "try again"},
    {EXIT_INTERRUPTED, "interrupted"},
};

static bool is_store(enum exit_peer peer)
{
    return peer == EXIT_PEER_STORE || peer == EXIT_PEER_VAULT;
}

enum exit_code exit_of(enum err_code code, enum exit_peer peer)
{
    switch (code) {
    case ERR_OK:
        return EXIT_OK;
    case ERR_ARGUMENT:
        return EXIT_USAGE;
    case ERR_DENIED:
        return EXIT_DENIED;
    case ERR_INTEGRITY:
        return EXIT_DAMAGE;
    case ERR_NOT_FOUND:
        return peer == EXIT_PEER_VAULT ? EXIT_NO_VAULT : EXIT_NOT_FOUND;
    case ERR_CONFLICT:
        return EXIT_CONFLICT;
    case ERR_QUOTA:
        return EXIT_POLICY;
    case ERR_COLD:
        return EXIT_COLD;
    case ERR_KEY:
        return EXIT_KEY;
    case ERR_AGAIN:
        return EXIT_AGAIN;
    case ERR_TIMEOUT:
    case ERR_UNREACHABLE:
        if (peer == EXIT_PEER_POOL)
            return EXIT_POOL;
        return is_store(peer) ? EXIT_STORE : EXIT_AGAIN;
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_CANCELLED:
    case ERR_PROTOCOL:
    case ERR_REMOTE:
        break;
    }
    return EXIT_FAILED;
}

enum exit_code exit_of_err(const struct err *err, enum exit_peer peer)
{
    if (is_store(peer) && err->code == ERR_REMOTE && err->detail == 404)
        return EXIT_NO_VAULT;
    return exit_of(err->code, peer);
}

bool exit_is_known(long n)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == n)
            return true;
    return false;
}

const char *exit_text(enum exit_code code)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == code)
            return rows[i].text;
    return "failed";
}
