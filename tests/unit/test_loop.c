/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/loop.h"

#define SENDERS 4
#define LETTERS 20000

static struct loop *new_loop(const char *name)
{
    struct loop *loop = NULL;
    struct err err;

    if (loop_new(name, NULL, &loop, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return loop;
}

struct letter {
    struct mail mail;
    unsigned sender, number;
    struct loop *loop;
};

static struct letter letters[SENDERS][LETTERS];
static unsigned next_of[SENDERS];
static unsigned delivered;

static void on_letter(struct mail *mail)
{
    struct letter *l = (struct letter *)mail;

    if (!loop_is_here(l->loop))
        fail_msg("delivered on another thread");
    if (l->number != next_of[l->sender]++)
        fail_msg("letter %u of sender %u is out of order", l->number,
                 l->sender);
    if (++delivered == SENDERS * LETTERS)
        loop_stop(l->loop);
}

static void send_all(void *ctx)
{
    struct letter *l = ctx;

    for (unsigned i = 0; i < LETTERS; i++)
        loop_send(l[i].loop, &l[i].mail);
}

static void mail_of_many_threads_arrives_once_and_in_order(void **state)
{
    struct loop *loop = new_loop("post");
    uv_thread_t threads[SENDERS];
    struct err err;

    (void)state;
    for (unsigned s = 0; s < SENDERS; s++)
        for (unsigned i = 0; i < LETTERS; i++)
            letters[s][i] =
                (struct letter){{on_letter, NULL}, s, i, loop};
    assert_int_equal(loop_start_thread(loop, &err), ERR_OK);
    assert_false(loop_is_here(loop));
    for (unsigned s = 0; s < SENDERS; s++)
        assert_int_equal(uv_thread_create(&threads[s], send_all, letters[s]),
                         0);
    for (unsigned s = 0; s < SENDERS; s++)
        uv_thread_join(&threads[s]);
    loop_join(loop);
    assert_true(loop_is_here(loop));
    assert_int_equal(delivered, SENDERS * LETTERS);
    loop_free(loop);
}

struct counted {
    struct mail mail;
    unsigned times, more;
    struct loop *loop;
};

static void on_counted(struct mail *mail)
{
    struct counted *c = (struct counted *)mail;

    c->times++;
    if (c->more-- > 0)
        loop_send(c->loop, mail);
}

static void mail_is_free_for_the_next_sending_when_delivered(void **state)
{
    struct loop *loop = new_loop("again");
    struct counted c = {{on_counted, NULL}, 0, 99, loop};

    (void)state;
    loop_send(loop, &c.mail);
    while (c.times < 100)
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    assert_int_equal(c.times, 100);
    loop_free(loop);
}

static void the_loop_ends_after_the_mail_sent_before(void **state)
{
    struct loop *loop = new_loop("ends");
    struct counted before[3], after = {{on_counted, NULL}, 0, 0, loop};

    (void)state;
    for (int i = 0; i < 3; i++) {
        before[i] = (struct counted){{on_counted, NULL}, 0, 0, loop};
        loop_send(loop, &before[i].mail);
    }
    loop_stop(loop);
    loop_stop(loop); /* twice is once */
    loop_run(loop);
    for (int i = 0; i < 3; i++)
        assert_int_equal(before[i].times, 1);
    loop_send(loop, &after.mail);
    loop_stop(loop); /* it can run again */
    loop_run(loop);
    assert_int_equal(after.times, 1);
    loop_free(loop);
}

static void mail_left_behind_is_delivered_by_free(void **state)
{
    struct loop *loop = new_loop("left");
    struct counted c = {{on_counted, NULL}, 0, 2, loop};

    (void)state;
    loop_send(loop, &c.mail);
    loop_stop(loop);
    loop_free(loop);
    assert_int_equal(c.times, 3);
    loop_free(NULL);
}

/* Two loops pass one letter to and fro while a third party stops them. */
struct ball {
    struct mail mail;
    struct loop *loops[2];
    unsigned hops;
};

static void on_ball(struct mail *mail)
{
    struct ball *b = (struct ball *)mail;

    if (++b->hops == 10000) {
        loop_stop(b->loops[0]);
        loop_stop(b->loops[1]);
        return;
    }
    loop_send(b->loops[b->hops % 2], mail);
}

static void loops_answer_each_other(void **state)
{
    struct ball b = {{on_ball, NULL}, {new_loop("a"), new_loop("b")}, 0};
    struct err err;

    (void)state;
    assert_int_equal(loop_start_thread(b.loops[0], &err), ERR_OK);
    assert_int_equal(loop_start_thread(b.loops[1], &err), ERR_OK);
    loop_send(b.loops[0], &b.mail);
    loop_join(b.loops[0]);
    loop_join(b.loops[1]);
    assert_int_equal(b.hops, 10000);
    loop_free(b.loops[0]);
    loop_free(b.loops[1]);
}

static uint64_t fake_ms(void *ctx)
{
    return *(uint64_t *)ctx;
}

static void a_loop_hands_out_its_clock_and_a_short_name(void **state)
{
    uint64_t now = 77;
    const struct clock fake = {fake_ms, fake_ms, &now};
    struct loop *loop = NULL;
    struct err err;

    (void)state;
    assert_int_equal(loop_new("a name that is long", &fake, &loop, &err),
                     ERR_OK);
    assert_string_equal(loop_name(loop), "a name that is ");
    assert_int_equal(clock_wall_ms(loop_clock(loop)), 77);
    loop_free(loop);
    loop = new_loop("x");
    assert_ptr_equal(loop_clock(loop), clock_system());
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_of_many_threads_arrives_once_and_in_order),
        cmocka_unit_test(mail_is_free_for_the_next_sending_when_delivered),
        cmocka_unit_test(the_loop_ends_after_the_mail_sent_before),
        cmocka_unit_test(mail_left_behind_is_delivered_by_free),
        cmocka_unit_test(loops_answer_each_other),
        cmocka_unit_test(a_loop_hands_out_its_clock_and_a_short_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
