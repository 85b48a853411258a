/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/exit.h"

/* The table of exit codes as the manual prints it. */
static const struct {
    const char *why;
    enum err_code code;
    enum exit_peer peer;
    int expect;
} rows[] = {
    {"success", ERR_OK, EXIT_PEER_POOL, 0},
    {"memory ran out", ERR_NOMEM, EXIT_PEER_NONE, 1},
    {"a local file", ERR_IO, EXIT_PEER_NONE, 1},
    {"a peer's own words", ERR_REMOTE, EXIT_PEER_POOL, 1},
    {"usage", ERR_ARGUMENT, EXIT_PEER_NONE, 2},
    {"not found", ERR_NOT_FOUND, EXIT_PEER_STORE, 4},
    {"no vault to open", ERR_NOT_FOUND, EXIT_PEER_VAULT, 10},
    {"a vault's store is unreachable", ERR_UNREACHABLE, EXIT_PEER_VAULT, 13},
    {"denied", ERR_DENIED, EXIT_PEER_NONE, 5},
    {"quota, policy, mapping", ERR_QUOTA, EXIT_PEER_NONE, 6},
    {"conflict", ERR_CONFLICT, EXIT_PEER_NONE, 7},
    {"damage", ERR_INTEGRITY, EXIT_PEER_NONE, 8},
    {"cold", ERR_COLD, EXIT_PEER_NONE, 9},
    {"wrong key", ERR_KEY, EXIT_PEER_NONE, 11},
    {"pool unreachable", ERR_UNREACHABLE, EXIT_PEER_POOL, 12},
    {"pool does not answer", ERR_TIMEOUT, EXIT_PEER_POOL, 12},
    {"store unreachable", ERR_UNREACHABLE, EXIT_PEER_STORE, 13},
    {"store does not answer", ERR_TIMEOUT, EXIT_PEER_STORE, 13},
    {"no cairnd answers", ERR_UNREACHABLE, EXIT_PEER_NONE, 75},
    {"try again", ERR_AGAIN, EXIT_PEER_POOL, 75},
};

static void errors_lead_to_the_exit_codes_of_the_manual(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int got = exit_of(rows[i].code, rows[i].peer);

        if (got != rows[i].expect)
            fail_msg("%s: wanted %d, got %d", rows[i].why, rows[i].expect,
                     got);
        assert_true(exit_is_known(got));
    }
    assert_true(exit_is_known(130));
    assert_false(exit_is_known(14));
    assert_false(exit_is_known(-1));
    assert_string_equal(exit_text(EXIT_NO_VAULT), "no such vault");
}

static void a_bucket_that_does_not_exist_is_no_vault(void **state)
{
    struct err err = {.code = ERR_REMOTE, .detail = 404};

    (void)state;
    assert_int_equal(exit_of_err(&err, EXIT_PEER_STORE), 10);
    assert_int_equal(exit_of_err(&err, EXIT_PEER_VAULT), 10);
    assert_int_equal(exit_of_err(&err, EXIT_PEER_POOL), 1);
    err.detail = 500;
    assert_int_equal(exit_of_err(&err, EXIT_PEER_STORE), 1);
    err = (struct err){.code = ERR_NOT_FOUND, .detail = 404};
    assert_int_equal(exit_of_err(&err, EXIT_PEER_STORE), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_that_does_not_exist_is_no_vault),
        cmocka_unit_test(errors_lead_to_the_exit_codes_of_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
