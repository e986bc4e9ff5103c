<?php
// A body of the single byte `0`, which PHP itself takes for false.
echo '0';
