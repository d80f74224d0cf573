module example.com/orders

go 1.26.4

require github.com/bitjang/bitjang v0.0.0

replace github.com/bitjang/bitjang => ../..
