/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a session: a row stands before the thing is made, so that what
 * a crash leaves is always named.
 */
#include "vault/session_inside.h"

bool session_note_stands(struct session *s, struct session_note *note,
                         const char *kind, const char *name)
{
    if (note->state == NOTE_NONE && !s->events.opening) {
        note->state = NOTE_STANDS;
    } else if (note->state == NOTE_NONE) {
        note->session = s;
        note->kind = kind;
        note->name = name;
        note->state = NOTE_ASKED;
        s->busy++;
        s->events.opening(s->opts.ctx, kind, name, note);
    }
    return note->state == NOTE_STANDS && session_alive(s);
}

void session_noted(struct session_note *note, const struct err *err)
{
    struct session *s = note->session;

    note->state = err->code == ERR_OK ? NOTE_STANDS : NOTE_REFUSED;
    if (err->code != ERR_OK)
        session_fail(s, err);
    session_release(s);
}

void session_note_close(struct session *s, struct session_note *note)
{
    if (note->state == NOTE_STANDS && s->events.closed && note->kind &&
        !note->stays)
        s->events.closed(s->opts.ctx, note->kind, note->name);
    note->state = NOTE_NONE;
}
