import os
import signal
import threading

import pytest

from trainer.interrupt import interruptible


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_that_was_swallowed_is_remembered():
    with interruptible() as check:
        check()
        with pytest.raises(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_have_no_signals():
    ended = []

    def work():
        with interruptible() as check:
            check()
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended
