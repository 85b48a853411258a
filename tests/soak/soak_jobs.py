# SPDX-License-Identifier: Apache-2.0
"""Follows every job from its beginning to its end, whoever began it, and judges
how it ended."""
import collections
import threading
import time

from soak_world import Down, Refused

# The words of an end that tells nothing.
EMPTY = ("", "error", "failed", "unknown", "unknown error", "internal error")
CANCEL_SECONDS = 30


class Job:
    """What is known of one."""

    def __init__(self, job_id):
        self.id = job_id
        self.seen = time.monotonic()
        self.final = threading.Event()
        self.doc = None
        self.cancelled = None  # when we asked for it


class Jobs:
    """A thread looks at what runs; wait() waits for an end."""

    def __init__(self, world):
        self.world = world
        self.lock = threading.Lock()
        self.known = {}   # id: Job
        self.open = set()
        self.outcomes = collections.Counter()  # (kind, state): number
        self.causes = collections.Counter()    # (kind, code): number
        self.longest = 0
        self.read_bytes = self.stored_bytes = 0
        self.cancels = []  # seconds from cancel to end
        self.last_fault_life = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def stop(self):
        self.ending.set()
        self.thread.join()

    def note(self, job_id):
        with self.lock:
            if job_id not in self.known:
                self.known[job_id] = Job(job_id)
                self.open.add(job_id)
            return self.known[job_id]

    def of(self, state):
        """The jobs that ended so."""
        with self.lock:
            return [j for j in self.known.values() if j.doc and
                    j.doc["state"] == state]

    def follow(self):
        while not self.ending.wait(0.3):
            try:
                self.look()
            except Down:
                pass
            except Exception as e:  # the others must be followed on
                self.world.problem("following jobs: %s: %s" % (
                    type(e).__name__, e))

    def look(self):
        with self.lock:
            before = set(self.open)
        running = {j["id"]: j for j in
                   self.world.all_of("/jobs?unfinished=true")}
        for job_id in running:
            self.note(job_id)
        for job_id in before - set(running):
            try:
                doc = self.world.api("GET", "/jobs/" + job_id)
            except Refused as e:
                self.world.problem("job %s, which was accepted, is gone: %s" %
                                   (job_id, e))
                doc = {"id": job_id, "kind": "?", "state": "gone",
                       "final": True, "error": None, "result": None}
            if doc["final"]:
                self.end(self.known[job_id], doc)

    def end(self, job, doc):
        with self.lock:
            job.doc = doc
            self.open.discard(job.id)
            self.outcomes[doc["kind"], doc["state"]] += 1
            self.longest = max(self.longest, time.monotonic() - job.seen)
            if doc["state"] in ("failed", "warned") and doc.get("code"):
                self.causes[doc["kind"], doc["code"]] += 1
            if doc["kind"] == "backup" and doc["result"]:
                self.read_bytes += doc["result"].get("read_bytes", 0)
                self.stored_bytes += doc["result"].get("stored_bytes", 0)
        self.judge(job, doc)
        job.final.set()

    def judge(self, job, doc):
        """A failure names its cause, and nobody cancels but us."""
        text = (doc["error"] or "").strip()
        if doc["state"] == "failed":
            self.world.say("%s %s of %s failed: %s: %s" % (
                doc["kind"], job.id, doc["vm"]["name"], doc["code"], text))
            if not doc["code"] or text.lower() in EMPTY or \
                    len(text.split()) < 3:
                self.world.problem("job %s failed and does not say why: %r %r"
                                   % (job.id, doc["code"], text))
        if doc["state"] == "cancelled" and job.cancelled is None and \
                not doc["cancel_asked"] and "client" not in text:
            self.world.problem("job %s was cancelled by nobody: %s" % (
                job.id, text))

    def wait(self, job, seconds):
        """Whether it ended in time, which begins anew when cairnd does; one
        that did not is a problem."""
        begun = time.monotonic()
        while time.monotonic() < max(begun, self.world.began) + seconds:
            if job.final.wait(1):
                return True
        try:
            doc = self.world.api("GET", "/jobs/" + job.id)
        except (Down, Refused):
            doc = {}
        if not doc.get("final"):
            self.world.problem(
                "job %s (%s, %s) hangs: %s at %s, %d of %d bytes, after %d s" %
                (job.id, doc.get("kind"), (doc.get("vm") or {}).get("name"),
                 doc.get("state"), doc.get("stage"), doc.get("done_bytes", 0),
                 doc.get("total_bytes", 0), time.monotonic() - job.seen))
        return False

    def cancel(self, job, slack):
        """Ask it to end, which takes 30 s at most, where cairnd lives on and
        the machine is not slow (slack)."""
        life = self.world.lives
        job.cancelled = asked = time.monotonic()
        try:
            self.world.api("POST", "/jobs/%s/cancel" % job.id)
        except Refused:
            return  # it has ended
        limit = CANCEL_SECONDS * slack
        while not job.final.wait(0.2) and time.monotonic() < asked + limit:
            if self.world.lives != life:
                return
        took = time.monotonic() - asked
        with self.lock:
            self.cancels.append(took)
        if not job.final.is_set() and self.world.lives == life:
            self.world.problem("job %s was cancelled and has not ended after "
                               "%d s" % (job.id, took))

    def drain(self, seconds):
        """Until no job is left. Whether that came in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                rows = self.world.api("GET", "/jobs?unfinished=true")
                if not rows["items"]:
                    with self.lock:
                        if not self.open:
                            return True
            except Down:
                self.world.died()
            time.sleep(0.2)
        with self.lock:
            left = [self.known[j] for j in self.open]
        for job in left:
            self.wait(job, 0.1)
        return False
