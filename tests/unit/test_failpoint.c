/* SPDX-License-Identifier: Apache-2.0 */
/* Built with CAIRN_FAILPOINTS and its own copy of base/failpoint.c, whatever
 * the build says. Each case is a process of its own, as the hits are. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/failpoint.h"

#define HITS 4
#define HANGS 100 /* no exit status: it was still there after a while */

/* Hit the first failpoint HITS times, the second once: the exit status holds
 * a bit for each that failed. */
static void hit_all(void)
{
    unsigned bits = 0;

    failpoint_setup();
    for (unsigned i = 0; i < HITS; i++)
        if (FAILPOINT("failpoint_test"))
            bits |= 1u << i;
    if (FAILPOINT("failpoint_test_other"))
        bits |= 1u << HITS;
    _exit(64 + (int)bits);
}

/* The exit status of a process with this environment, or minus its signal. */
static int run_with(const char *setting, bool hangs)
{
    pid_t pid = fork();
    int status = 0;

    assert_true(pid >= 0);
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr))
            _exit(99);
        if (setting)
            setenv("CAIRN_FAILPOINTS", setting, 1);
        else
            unsetenv("CAIRN_FAILPOINTS");
        hit_all();
    }
    if (hangs) {
        for (int i = 0; i < 20; i++) {
            if (waitpid(pid, &status, WNOHANG) != 0)
                return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            usleep(5000);
        }
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return HANGS;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_failpoint_acts_on_its_hit_alone(void **state)
{
    static const struct {
        const char *setting;
        int status;
    } rows[] = {
        {NULL, 64},
        {"", 64},
        {"failpoint_test=error", 64 + 1},
        {"failpoint_test=error@1", 64 + 1},
        {"failpoint_test=error@3", 64 + 4},
        {"failpoint_test=error@5", 64},
        {"failpoint_test_other=error", 64 + 16},
        {"failpoint_test=error@2,failpoint_test_other=error", 64 + 2 + 16},
        {"failpoint_test=kill", -SIGKILL},
        {"failpoint_test=kill@4", -SIGKILL},
        {"failpoint_test=kill@5", 64},
        {"failpoint_test=error,failpoint_test_other=kill", -SIGKILL},
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        int status = run_with(rows[i].setting, false);

        if (status != rows[i].status)
            fail_msg("%s: %d", rows[i].setting ? rows[i].setting : "(unset)",
                     status);
    }
    assert_int_equal(run_with("failpoint_test=hang@2", true), HANGS);
}

static void a_mistake_in_the_environment_ends_the_process(void **state)
{
    static const char *const bad[] = {
        "failpoint_tes=error",     "failpoint_test_othe=error",
        "failpoint_test",          "failpoint_test=",
        "failpoint_test=explode",  "failpoint_test=error@0",
        "failpoint_test=error@x",  "failpoint_test=error@",
        "failpoint_test=error@-1", "failpoint_test = error",
        "=error",                  ",failpoint_test=error",
        "failpoint_test=error;x",  "failpoint_test=error,,x=kill",
    };

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(bad); i++)
        if (run_with(bad[i], false) != 2)
            fail_msg("'%s' was taken", bad[i]);
}

static void every_name_is_listed_once(void **state)
{
    const char *const *names = failpoint_names();

    (void)state;
    assert_non_null(names[0]);
    for (size_t i = 0; names[i]; i++)
        for (size_t k = i + 1; names[k]; k++)
            assert_string_not_equal(names[i], names[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failpoint_acts_on_its_hit_alone),
        cmocka_unit_test(a_mistake_in_the_environment_ends_the_process),
        cmocka_unit_test(every_name_is_listed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
